// Tensors of int64 or int32 indices: -dim to dim - 1, negative ones counted from the end.
#pragma once

#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

inline bool is_index_tensor(const gk_tensor& tensor) {
  return is_movable_block(tensor) && (is_dtype(tensor, GK_INT, 64) || is_dtype(tensor, GK_INT, 32));
}

// The first checks of every gather: data, indices, and an output of the data's dtype.
inline bool is_gather(const gk_call* call) {
  return has_arity(call, 2, 1) && is_movable_block(call->inputs[0]) && is_index_tensor(call->inputs[1]) &&
         is_movable_block(call->outputs[0]) && same_dtype(call->inputs[0], call->outputs[0]);
}

class Indices {
 public:
  explicit Indices(const gk_tensor& tensor) : data_(bytes_of(tensor)), wide_(tensor.dtype.bits == 64) {}

  int64_t operator[](int64_t i) const {
    return wide_ ? reinterpret_cast<const int64_t*>(data_)[i] : reinterpret_cast<const int32_t*>(data_)[i];
  }

  // Index i counted from the front of a dim of that size.
  int64_t at(int64_t i, int64_t dim) const {
    const int64_t index = (*this)[i];
    return index < 0 ? index + dim : index;
  }

  bool wide() const { return wide_; }
  const char* data() const { return data_; }

  // Whether the first `count` indices lie within a dim: checked before anything is read through them.
  bool within(int64_t count, int64_t dim) const {
    return wide_ ? all_within(reinterpret_cast<const int64_t*>(data_), count, dim)
                 : all_within(reinterpret_cast<const int32_t*>(data_), count, dim);
  }

 private:
  template <class T>
  static bool all_within(const T* indices, int64_t count, int64_t dim) {
    T least = 0, most = -1;
    for (int64_t i = 0; i < count; ++i) {
      least = indices[i] < least ? indices[i] : least;
      most = indices[i] > most ? indices[i] : most;
    }
    return least >= -dim && most < dim;
  }

  const char* data_;
  bool wide_;
};

}  // namespace GK_LEVEL
}  // namespace graphopt
