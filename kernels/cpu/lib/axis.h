// A compact tensor seen along one axis: [outer, length, inner].
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

struct AxisView {
  int64_t outer, length, inner;
};

// False where the axis is none of the tensor's.
inline bool view_along(const gk_tensor& tensor, int64_t axis, AxisView* view) {
  if (axis < 0) axis += tensor.ndim;
  if (axis < 0 || axis >= tensor.ndim) return false;
  *view = {1, tensor.shape[axis], 1};
  for (int d = 0; d < tensor.ndim; ++d) {
    if (d < axis) view->outer *= tensor.shape[d];
    if (d > axis) view->inner *= tensor.shape[d];
  }
  return true;
}

// The one integer in an int64 or int32 tensor; GK_UNSUPPORTED where its contents are not known.
inline int one_integer(const gk_tensor& tensor, int64_t* value) {
  const bool wide = is_dtype(tensor, GK_INT, 64);
  if ((!wide && !is_dtype(tensor, GK_INT, 32)) || tensor.ndim < 0 || element_count(tensor) != 1) return GK_INVALID_ARGUMENT;
  if (tensor.data == nullptr) return GK_UNSUPPORTED;
  *value = wide ? *data_of<int64_t>(tensor) : *data_of<int32_t>(tensor);
  return GK_OK;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
