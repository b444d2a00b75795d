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

// The first checks of every gather: an input and indices.
inline bool takes_gather(ShapeCall& call) {
  if (call.inputs.size() != 2 || !call.has(0) || !call.has(1) || call.outputs.size() != 1) {
    return call.fail("takes an input and indices");
  }
  return is_index_type(call.inputs[1].type) || call.fail("the indices are neither int64 nor int32");
}

// The first checks of every scatter: an input, indices, updates of the input's dtype, a reduction it has.
inline bool takes_scatter(ShapeCall& call) {
  if (call.inputs.size() != 3 || !call.has(0) || !call.has(1) || !call.has(2) || call.outputs.size() != 1) {
    return call.fail("takes an input, indices and updates");
  }
  if (!is_index_type(call.inputs[1].type)) return call.fail("the indices are neither int64 nor int32");
  if (!same_type(call.inputs[0].type.dtype, call.inputs[2].type.dtype)) return call.fail("the updates' dtype differs");
  const std::string_view reduction = call.attributes.text("reduction", "none");
  if (!is_scatter_reduction(reduction)) return call.fail("no such reduction");
  if (reduction != "none" && !is_reducible(call.inputs[0].type.dtype)) return call.fail("no arithmetic of this dtype");
  return true;
}

}  // namespace graphopt
