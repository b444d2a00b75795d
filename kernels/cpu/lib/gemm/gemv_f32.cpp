// The two ways to read the matrix: along k (a dot product per result), or along the results (sums kept in the cache
// while rows pass, eight at a time).
#include "cpu/lib/gemm/gemv_f32.h"

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kRows = 4;  // dot products at a time: they share x
constexpr int kSums = 2;  // vectors of partial sums for each
constexpr int kSteps = 8; // rows added at a time

template <int rows>
void dot(const float* w, int64_t step, const float* x, int64_t k, float* y) {
  VecF32 sums[rows][kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= k; i += kSums * kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < kSums; ++s) {
      const VecF32 factor = load_lanes(x + i + s * kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) sums[r][s] += load_lanes(w + r * step + i + s * kLanes) * factor;
    }
  }
  for (int s = 0; i < k; i += kLanes, ++s) {
    const int64_t left = k - i < kLanes ? k - i : kLanes;
    const VecF32 factor = load_part(x + i, left);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) sums[r][0] += load_part(w + r * step + i, left) * factor;
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r) y[r] = sum_lanes(sums[r][0] + sums[r][1]);
}

// y[0 … count) += Σ of `rows` rows.
template <int rows>
void add_rows(const float* w, int64_t step, const float* x, int64_t x_stride, int64_t count, float* y) {
  float factors[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) factors[r] = x[r * x_stride];
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    VecF32 sum = load_lanes(y + i);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) sum += factors[r] * load_lanes(w + r * step + i);
    store_lanes(y + i, sum);
  }
  if (i < count) {
    VecF32 sum = load_part(y + i, count - i);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) sum += factors[r] * load_part(w + r * step + i, count - i);
    store_part(y + i, sum, count - i);
  }
}

}  // namespace

void gemv_f32(const GemvMatrix& matrix, int64_t begin, int64_t end, float* y) {
  const float* w = matrix.w + begin * matrix.out_stride;
  const int64_t count = end - begin;
  if (matrix.k_stride == 1) {
    int64_t i = 0;
    for (; i + kRows <= count; i += kRows) {
      dot<kRows>(w + i * matrix.out_stride, matrix.out_stride, matrix.x, matrix.k, y + i);
    }
    for (; i < count; ++i) dot<1>(w + i * matrix.out_stride, 0, matrix.x, matrix.k, y + i);
    return;
  }
  for (int64_t i = 0; i < count; ++i) y[i] = 0.0f;
  int64_t k = 0;
  for (; k + kSteps <= matrix.k; k += kSteps) {
    const float* x = matrix.x + k * matrix.x_stride;
    add_rows<kSteps>(w + k * matrix.k_stride, matrix.k_stride, x, matrix.x_stride, count, y);
  }
  for (; k < matrix.k; ++k) add_rows<1>(w + k * matrix.k_stride, 0, matrix.x + k * matrix.x_stride, 0, count, y);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
