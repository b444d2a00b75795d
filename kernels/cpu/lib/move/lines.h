// Lines of two tensors that share an index space but for one axis: what gather_elements and scatter_elements walk.
#pragma once

#include "cpu/lib/move/indices.h"

namespace graphopt {
namespace GK_LEVEL {

// The index space is that of `indices`; a line is its last dim. Element j of line l belongs to the element of `data` at
// base(l) + j·step + index·axis_stride.
struct Lines {
  int32_t rank;
  int64_t count, length;       // lines, and elements of each
  int64_t dim;                 // of the data along the axis
  int64_t step, axis_stride;   // elements of the data
  int64_t dims[kMoveRank], strides[kMoveRank]; // of the lines, in the data; 0 along the axis

  int64_t base(int64_t line) const {
    int64_t at = 0;
    for (int i = rank - 2; i >= 0; --i) {
      at += line % dims[i] * strides[i];
      line /= dims[i];
    }
    return at;
  }
};

// False where the tensors do not fit: other ranks, an axis out of range, indices that reach beyond the data.
inline bool describe_lines(const gk_tensor& data, const gk_tensor& indices, int axis, Lines* lines) {
  if (data.ndim != indices.ndim || axis < 0 || axis >= data.ndim) return false;
  lines->rank = data.ndim;
  for (int i = 0; i < data.ndim; ++i) {
    if (i != axis && indices.shape[i] > data.shape[i]) return false;
    lines->dims[i] = indices.shape[i];
    lines->strides[i] = i == axis ? 0 : stride_of(data, i);
  }
  const int last = data.ndim - 1;
  lines->length = indices.shape[last];
  lines->count = dims_product(indices, 0, last);
  lines->dim = data.shape[axis];
  lines->axis_stride = stride_of(data, axis);
  lines->step = lines->strides[last];
  return true;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
