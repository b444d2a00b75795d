// What the operators that move data check: any dtype of whole bytes, dims that fit.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kMoveRank = 8;

inline int64_t element_bytes(const gk_tensor& tensor) { return tensor.dtype.bits / 8; }

// A CPU tensor of up to 8 dims and elements of 1, 2, 4, 8 or 16 bytes whose size is an int64.
inline bool is_movable(const gk_tensor& tensor) {
  const int bits = tensor.dtype.bits;
  if (tensor.device.device_type != GK_CPU || tensor.dtype.lanes != 1 || tensor.ndim < 0 || tensor.ndim > kMoveRank) {
    return false;
  }
  if (bits != 8 && bits != 16 && bits != 32 && bits != 64 && bits != 128) return false;
  if (tensor.ndim > 0 && tensor.shape == nullptr) return false;
  int64_t bytes = bits / 8;
  bool fits = true, empty = false;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0) return false;
    empty = empty || tensor.shape[i] == 0;
    fits = !__builtin_mul_overflow(bytes, tensor.shape[i], &bytes) && fits;
  }
  return fits || empty;
}

// The same of a tensor that the operator reads or writes as one row-major block.
inline bool is_movable_block(const gk_tensor& tensor) { return is_movable(tensor) && is_compact(tensor); }

inline bool same_dtype(const gk_tensor& a, const gk_tensor& b) {
  return a.dtype.code == b.dtype.code && a.dtype.bits == b.dtype.bits && a.dtype.lanes == b.dtype.lanes;
}

inline bool same_dims(const gk_tensor& a, const gk_tensor& b) {
  if (a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i]) return false;
  }
  return true;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
