// The micro-kernels of gemm_f32.h: per step of k one load of each vector of B, one broadcast of each row of A and a
// multiply-add for each pair. Row pointers that do not fit into registers are read again every kUnroll steps.
#include "cpu/lib/gemm_f32_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kUnroll = kGemmUnroll;

inline __attribute__((always_inline)) VecF32 load(const float* from) {
  return *reinterpret_cast<const VecF32Unaligned*>(from);
}

inline __attribute__((always_inline)) void store(float* to, VecF32 v) { *reinterpret_cast<VecF32Unaligned*>(to) = v; }

#if defined(__AVX2__) && !defined(__AVX512F__)
inline __attribute__((always_inline)) __m256i lanes_below(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < 0 ? 0 : count > 8 ? 8 : count)), lane);
}
#endif

inline __attribute__((always_inline)) VecF32 all(float x) { return x - VecF32{}; }

// One step of k.
template <int R, int P, int V>
inline __attribute__((always_inline)) void step(VecF32 (&sums)[R][P * V], const float* const (&rows)[R], int64_t i,
                                                const float* b, int64_t panel_step) {
  VecF32 columns[P * V];
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) columns[p * V + v] = load(b + p * panel_step + v * kGemmLanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const float x = rows[r][i];
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) {
      sums[r][v] += x * columns[v];
      opaque(sums[r][v]);  // or steps are merged in ways that need more registers than there are
    }
  }
}

template <int R, int P, int V>
inline __attribute__((always_inline)) void accumulate(VecF32 (&sums)[R][P * V], const GemmTile& tile) {
  const float* b = tile.b;
  const int64_t panel_step = tile.panel_step, k = tile.k;
  const float* const* pointers = tile.rows;
  const char *ahead = tile.ahead, *ahead_end = tile.ahead_end;
  for (int64_t tap = 0; tap < tile.taps; ++tap) {
    const float* rows[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) rows[r] = pointers[r] + tile.k_first;
    int64_t i = 0;
    for (; i + kUnroll <= k; i += kUnroll) {
#pragma GCC unroll 8
      for (int u = 0; u < kUnroll; ++u) step<R, P, V>(sums, rows, i + u, b + u * V * kGemmLanes, panel_step);
      b += kUnroll * V * kGemmLanes;
      if (ahead >= ahead_end) ahead = tile.ahead_then, ahead_end = tile.ahead_then_end;
      if (ahead < ahead_end) {
        for (int64_t line = 0; line < tile.ahead_lines; ++line, ahead += 64) {
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) __builtin_prefetch(ahead + 4 * p * panel_step, 0, P > 1 ? 3 : 2);
        }
      }
    }
    for (; i < k; ++i) {
      step<R, P, V>(sums, rows, i, b, panel_step);
      b += V * kGemmLanes;
    }
    pointers += tile.tap_step;
  }
}

// The first `count` floats of a vector, the others zero; count may be anything.
inline __attribute__((always_inline)) VecF32 load_part(const float* from, int64_t count) {
#if defined(__AVX512F__)
  const __mmask16 mask = count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  return (VecF32)_mm512_maskz_loadu_ps(mask, from);
#elif defined(__AVX2__)
  return (VecF32)_mm256_maskload_ps(from, lanes_below(count));
#else
  VecF32 v = {};
  for (int l = 0; l < kGemmLanes; ++l) {
    if (l < count) v[l] = from[l];
  }
  return v;
#endif
}

inline __attribute__((always_inline)) void store_part(float* to, VecF32 v, int64_t count) {
#if defined(__AVX512F__)
  const __mmask16 mask = count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  _mm512_mask_storeu_ps(to, mask, (__m512)v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(to, lanes_below(count), (__m256)v);
#else
  for (int l = 0; l < kGemmLanes; ++l) {
    if (l < count) to[l] = v[l];
  }
#endif
}

// Memory of a row of the tile: all of its columns are there, or only the first `cols`.
struct Whole {
  VecF32 get(const float* row, int v) const { return load(row + v * kGemmLanes); }
  void put(float* row, int v, VecF32 x) const { store(row + v * kGemmLanes, x); }
};

struct Part {
  int64_t cols;
  VecF32 get(const float* row, int v) const { return load_part(row + v * kGemmLanes, cols - v * kGemmLanes); }
  void put(float* row, int v, VecF32 x) const { store_part(row + v * kGemmLanes, x, cols - v * kGemmLanes); }
};

// From sums to memory.
template <int R, int N, class Memory>
inline __attribute__((always_inline)) void finish(VecF32 (&sums)[R][N], const GemmTile& tile, Memory memory) {
  if (!tile.first) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sums[r][v] += memory.get(tile.c + r * tile.ldc, v);
    }
  }
  if (tile.last) {
    if (tile.alpha != 1.0f) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] *= tile.alpha;
      }
    }
    if (tile.bias != nullptr) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) {
        const VecF32 bias = memory.get(tile.bias, v);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sums[r][v] += bias;
      }
    }
    if (tile.addend != nullptr && tile.addend_cols == 0) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const float x = tile.addend_scale * tile.addend[r * tile.addend_rows];
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] += x;
      }
    } else if (tile.addend != nullptr) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] += tile.addend_scale * memory.get(tile.addend + r * tile.addend_rows, v);
      }
    }
    if (tile.clamp) {
      const VecF32 low = all(tile.low), high = all(tile.high);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) {
          sums[r][v] = sums[r][v] < low ? low : sums[r][v];
          sums[r][v] = sums[r][v] > high ? high : sums[r][v];
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) memory.put(tile.c + r * tile.ldc, v, sums[r][v]);
  }
}

template <int R, int P, int V>
void run(const GemmTile& tile) {
  constexpr int N = P * V;
  if (tile.fetch_results) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < N; v += 64 / kVectorBytes) __builtin_prefetch(tile.c + r * tile.ldc + v * kGemmLanes, 1);
    }
  }
  VecF32 sums[R][N] = {};
  accumulate<R, P, V>(sums, tile);
  if (P == 1 && tile.cols < N * kGemmLanes) return finish<R, N>(sums, tile, Part{tile.cols});
  finish<R, N>(sums, tile, Whole{});
}

}  // namespace

#define GK_WIDE(r) run<r, gemm_tile_panels(r), 2>
#define GK_ONE(r) run<r, 1, 2>
#define GK_NARROW(r) run<r, 1, 1>
#if defined(__AVX512F__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12), of(13), of(14)
#elif defined(__aarch64__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12)
#elif defined(__AVX2__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6)
#else
#define GK_ROWS(of) of(1), of(2), of(3), of(4)
#endif

const GemmTileFunction kGemmTilesWide[kGemmRows] = {GK_ROWS(GK_WIDE)};
const GemmTileFunction kGemmTiles[kGemmRows] = {GK_ROWS(GK_ONE)};
const GemmTileFunction kGemmTilesNarrow[kGemmRows] = {GK_ROWS(GK_NARROW)};

}  // namespace GK_LEVEL
}  // namespace graphopt
