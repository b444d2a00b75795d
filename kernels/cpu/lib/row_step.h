// Tensors whose rows, the last axis, are contiguous and lie at one distance: part of a wider tensor.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// Elements between neighbouring rows of the last axis where all axes before it are one axis of such rows; else 0. For
// ranks above 0.
inline int64_t row_step(const gk_tensor& tensor) {
  const int last = tensor.ndim - 1;
  const int64_t width = tensor.shape[last];
  if (tensor.strides == nullptr) return width;
  if (width > 1 && tensor.strides[last] != 1) return 0;
  int64_t step = 0, rows = 1;
  for (int i = last - 1; i >= 0; --i) {
    if (tensor.shape[i] == 0) return width;
    if (tensor.shape[i] == 1) continue;
    if (step == 0) step = tensor.strides[i];
    if (tensor.strides[i] != step * rows) return 0;
    rows *= tensor.shape[i];
  }
  if (step == 0) return width;
  return step >= width && step < int64_t{1} << 31 ? step : 0;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
