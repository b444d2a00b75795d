// Block sizes from the sizes of the caches.
#include "cpu/lib/gemm/gemm_blocking.h"

#include <unistd.h>

#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

struct CacheSizes {
  int64_t l1, l2;
};

int64_t between(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

int64_t ask_system(int name, int64_t otherwise) {
  const long size = name < 0 ? 0 : sysconf(name);
  return size > 0 ? size : otherwise;
}

// Asked once: the C library may answer with instructions that a virtual machine has to emulate.
CacheSizes cache_sizes() {
  static int64_t known_l1 = 0, known_l2 = 0;
  CacheSizes sizes = {__atomic_load_n(&known_l1, __ATOMIC_RELAXED), __atomic_load_n(&known_l2, __ATOMIC_RELAXED)};
  if (sizes.l1 != 0 && sizes.l2 != 0) return sizes;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  constexpr int kL1 = _SC_LEVEL1_DCACHE_SIZE, kL2 = _SC_LEVEL2_CACHE_SIZE;
#else
  constexpr int kL1 = -1, kL2 = -1;
#endif
  sizes.l1 = between(ask_system(kL1, 32 << 10), 16 << 10, 128 << 10);
  sizes.l2 = between(ask_system(kL2, 512 << 10), 128 << 10, 4 << 20);
  __atomic_store_n(&known_l1, sizes.l1, __ATOMIC_RELAXED);
  __atomic_store_n(&known_l2, sizes.l2, __ATOMIC_RELAXED);
  return sizes;
}

int64_t tile_value(const gk_call* call, int index) {
  return call != nullptr && call->tile != nullptr && call->tile->count > index ? call->tile->values[index] : 0;
}

}  // namespace

// A panel of B as large as the first-level cache: what of it is pushed out comes back from the second level in time,
// and the results pass through memory less often than with smaller ranges.
int64_t gemm_depth_limit(const gk_call* call) {
  const int64_t chosen = tile_value(call, 0);
  return chosen > 0 ? between(chosen, kGemmUnroll, 1 << 16) : cache_sizes().l1 / (kGemmCols * 4);
}

// The block of A takes three eighths of the second-level cache; panels of B and results pass through the rest. Where the
// product is shallow, the results take half of it: each panel would otherwise sweep them out.
int64_t gemm_block_rows(const gk_call* call, int64_t k, int64_t n) {
  const int64_t chosen = tile_value(call, 1);
  if (chosen > 0) return between(chosen, 1, kGemmMostRows);
  const int64_t limit = gemm_depth_limit(call), depth = between(k, 1, limit);
  const int64_t l2 = cache_sizes().l2;
  const int64_t for_results = between(l2 / 2 / (between(n, 1, l2) * 4), 4 * kGemmRows, kGemmMostRows);
  return between(l2 * 3 / 8 / (depth * 4), kGemmRows, for_results) / kGemmRows * kGemmRows;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
