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
  int64_t bytes = bits / 8; // as if there were no dim of 0: then the product of any dims fits
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0) return false;
    if (tensor.shape[i] > 0 && __builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) return false;
  }
  return true;
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

// The attribute `axis` counted from the front, or -1 where it is out of range.
inline int axis_attribute(const gk_call* call, int64_t otherwise, int rank) {
  int64_t axis = int_attribute(call, "axis", otherwise);
  if (axis < 0) axis += rank;
  return axis < 0 || axis >= rank ? -1 : static_cast<int>(axis);
}

// Elements in the dims [begin, end).
inline int64_t dims_product(const gk_tensor& tensor, int begin, int end) {
  int64_t product = 1;
  for (int i = begin; i < end; ++i) product *= tensor.shape[i];
  return product;
}

// Tasks worth a thread, each of which moves that many bytes and looks something up.
inline int64_t grain_of(int64_t bytes) { return bytes >= kGrainBytes ? 1 : kGrainBytes / (bytes < 16 ? 16 : bytes); }

}  // namespace GK_LEVEL
}  // namespace graphopt
