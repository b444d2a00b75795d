// What the operators that take indices check.
#pragma once

#include "executor/op.h"

namespace graphopt {

inline bool is_index_type(const TensorType& type) {
  return type.dtype.code == GK_INT && (type.dtype.bits == 32 || type.dtype.bits == 64);
}

inline bool same_type(const gk_dtype& a, const gk_dtype& b) { return a.code == b.code && a.bits == b.bits; }

// "none", "add", "mul", "max" or "min".
inline bool is_scatter_reduction(std::string_view name) {
  return name == "none" || name == "add" || name == "mul" || name == "max" || name == "min";
}

// Whether elements of `dtype` can be added, multiplied and compared by the scatter operators.
inline bool is_reducible(const gk_dtype& dtype) {
  return dtype.bits <= 64 && (dtype.code != GK_FLOAT || dtype.bits >= 16);
}

}  // namespace graphopt
