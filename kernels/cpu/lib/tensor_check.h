// What a kernel asks of a tensor before it trusts its shape.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// Dims, strides and paddings below this keep sums and products of two far from overflow.
constexpr int64_t kDimLimit = int64_t{1} << 30;

// A tensor in CPU memory whose dims are below kDimLimit and whose bytes can be counted, also with each dim of zero
// taken for one. Its data may be missing while a call is prepared.
inline bool has_sound_dims(const gk_tensor& tensor) {
  if (tensor.device.device_type != GK_CPU || tensor.ndim < 0 || (tensor.ndim > 0 && tensor.shape == nullptr)) return false;
  int64_t bytes = tensor.dtype.bits;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0 || tensor.shape[i] >= kDimLimit) return false;
    if (tensor.shape[i] > 0 && __builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) return false;
  }
  return true;
}

inline bool is_sound(const gk_tensor& tensor) { return has_sound_dims(tensor) && is_compact(tensor); }

inline bool is_sound_f32(const gk_tensor& tensor) { return is_f32(tensor) && is_sound(tensor); }

// `count` integers of attribute `name`, each in [low, kDimLimit), or all `otherwise` where it is missing or empty.
inline bool read_sizes(const gk_call* call, const char* name, int count, int64_t low, int64_t otherwise, int64_t* values) {
  const Ints given = ints_attribute(call, name);
  if (given.length != 0 && given.length != count) return false;
  for (int i = 0; i < count; ++i) {
    values[i] = given.length == 0 ? otherwise : given.data[i];
    if (values[i] < low || values[i] >= kDimLimit) return false;
  }
  return true;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
