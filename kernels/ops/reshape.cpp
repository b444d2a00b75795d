// reshape: the same elements in row-major order under the dims of input 1. A -1 stands for what is left, a 0
// for the input's own dim there unless `allowzero` is set.
#include "executor/op.h"
#include "ops/reshaped.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 2 || !call.has(0) || !call.has(1) || call.outputs.size() != 1) {
    return call.fail("takes an input and its new shape");
  }
  const Dims& from = call.inputs[0].type.dims;
  std::vector<int64_t> target;
  if (!call.integers(1, &target) || call.inputs[1].type.dims.rank != 1) {
    return call.fail("the new shape is not a known vector of integers");
  }
  if (target.size() > static_cast<size_t>(kMaxRank)) return call.fail("more than 8 dims");
  const bool allow_zero = call.attributes.integer("allowzero", 0) != 0;
  Dims dims;
  dims.rank = static_cast<int>(target.size());
  int inferred = -1;
  for (int i = 0; i < dims.rank; ++i) {
    const int64_t wanted = target[static_cast<size_t>(i)];
    if (wanted == -1) {
      if (inferred >= 0) return call.fail("two dims of the new shape are -1");
      inferred = i;
      dims[i] = 1;
    } else if (wanted == 0 && !allow_zero) {
      if (i >= from.rank) return call.fail("a 0 of the new shape has no dim in " + text_of(from));
      dims[i] = from[i];
    } else {
      dims[i] = wanted;
    }
  }
  const int64_t count = element_count(from), rest = element_count(dims);
  if (inferred >= 0) {
    if (rest <= 0 || count % rest != 0) {
      return call.fail("cannot infer the -1 that makes " + text_of(dims) + " of " + text_of(from));
    }
    dims[inferred] = count / rest;
  } else if (rest != count) {
    return call.fail(text_of(from) + " has not as many elements as " + text_of(dims));
  }
  call.outputs[0] = {call.inputs[0].type.dtype, dims};
  return true;
}

bool view(ViewCall& call) {
  call.views[0].offset = 0;
  return reshaped_strides(call.inputs[0].type.dims, call.strides, call.types[0].dims, &call.views[0].strides);
}

}  // namespace

extern const OpDef op_reshape;
const OpDef op_reshape = {.name = "reshape", .shapes = shapes, .view = view};

}  // namespace graphopt
