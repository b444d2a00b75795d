// Matrix times vector in float32, the matrix read once and as it lies: for products with one row or one column
// whose larger factor is not packed.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

struct GemvMatrix {
  const float* w = nullptr;  // w[i · out_stride + k · k_stride]: one of the strides is 1
  int64_t out_stride = 0, k_stride = 0;
  const float* x = nullptr;  // x[k · x_stride]; x_stride is 1 where k_stride is
  int64_t x_stride = 1;
  int64_t k = 0;
};

// y[i] = Σ_k w[i][k] · x[k] for begin <= i < end, to y[0], y[1], …; the order of each sum depends on k alone.
void gemv_f32(const GemvMatrix& matrix, int64_t begin, int64_t end, float* y);

}  // namespace GK_LEVEL
}  // namespace graphopt
