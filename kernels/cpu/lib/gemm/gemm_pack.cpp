// Copies that put the factors of a matrix product where the micro-kernels want them: B in panels, rows of A together.
#include "cpu/lib/gemm/gemm_blocking.h"
#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

typedef float Vec4 __attribute__((vector_size(16)));
typedef float Vec4Unaligned __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t Pick4 __attribute__((vector_size(16)));

inline Vec4 load4(const float* from) { return *reinterpret_cast<const Vec4Unaligned*>(from); }
inline void store4(float* to, Vec4 v) { *reinterpret_cast<Vec4Unaligned*>(to) = v; }

// to[p][q] = from[q][p], four by four.
inline void transpose4(const float* from, int64_t from_step, float* to, int64_t to_step) {
  const Vec4 a = load4(from), b = load4(from + from_step), c = load4(from + 2 * from_step),
             d = load4(from + 3 * from_step);
  const Vec4 ab_low = __builtin_shuffle(a, b, Pick4{0, 4, 1, 5}), ab_high = __builtin_shuffle(a, b, Pick4{2, 6, 3, 7});
  const Vec4 cd_low = __builtin_shuffle(c, d, Pick4{0, 4, 1, 5}), cd_high = __builtin_shuffle(c, d, Pick4{2, 6, 3, 7});
  store4(to, __builtin_shuffle(ab_low, cd_low, Pick4{0, 1, 4, 5}));
  store4(to + to_step, __builtin_shuffle(ab_low, cd_low, Pick4{2, 3, 6, 7}));
  store4(to + 2 * to_step, __builtin_shuffle(ab_high, cd_high, Pick4{0, 1, 4, 5}));
  store4(to + 3 * to_step, __builtin_shuffle(ab_high, cd_high, Pick4{2, 3, 6, 7}));
}

}  // namespace

void copy_matrix(const float* from, int64_t p_stride, int64_t q_stride, int64_t rows, int64_t cols, float* to,
                 int64_t ld) {
  int64_t p = 0;
  if (p_stride == 1 && q_stride != 1) {
    for (; p + 4 <= rows; p += 4) {
      int64_t q = 0;
      for (; q + 4 <= cols; q += 4) transpose4(from + p + q * q_stride, q_stride, to + p * ld + q, ld);
      for (; q < cols; ++q) {
        for (int r = 0; r < 4; ++r) to[(p + r) * ld + q] = from[p + r + q * q_stride];
      }
    }
  }
  for (; p < rows; ++p) {
    const float* row = from + p * p_stride;
    if (q_stride == 1) {
      __builtin_memcpy(to + p * ld, row, static_cast<size_t>(cols) * 4);
    } else {
      for (int64_t q = 0; q < cols; ++q) to[p * ld + q] = row[q * q_stride];
    }
  }
}

void gemm_pack_b(const float* b, int64_t k_stride, int64_t n_stride, int64_t k, int64_t n, int64_t k_first,
                 int64_t k_total, float* packed) {
  for (int64_t j = 0; j < n; j += kGemmCols) {
    const int64_t left = n - j, width = left <= kGemmLanes ? kGemmLanes : kGemmCols;
    const float* from = b + j * n_stride;
    float* to = packed + gemm_panel_offset(k_total, j) + k_first * width;
    if (left >= kGemmCols && n_stride == 1) {
      for (int64_t i = 0; i < k; ++i) __builtin_memcpy(to + i * kGemmCols, from + i * k_stride, kGemmCols * 4);
      continue;
    }
    const int64_t cols = left < width ? left : width;
    copy_matrix(from, k_stride, n_stride, k, cols, to, width);
    for (int64_t i = 0; cols < width && i < k; ++i) {
      for (int64_t c = cols; c < width; ++c) to[i * width + c] = 0.0f;
    }
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
