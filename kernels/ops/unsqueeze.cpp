// unsqueeze: the input with a dim of one at each of `axes` of the output (input 1 or attribute).
#include "executor/op.h"
#include "ops/axes.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.empty() || call.inputs.size() > 2 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes an input and axes");
  }
  const Dims& from = call.inputs[0].type.dims;
  const int64_t added = call.has(1) ? element_count(call.inputs[1].type.dims)
                                    : static_cast<int64_t>(call.attributes.integers("axes").size());
  if (added < 0 || from.rank + added > kMaxRank) return call.fail("more than 8 dims");
  TensorType& to = call.outputs[0];
  to = {call.inputs[0].type.dtype, {}};
  to.dims.rank = from.rank + static_cast<int>(added);
  uint32_t ones;
  if (!axes_mask(call, 1, to.dims.rank, &ones)) return call.fail("axes are unknown or do not fit");
  for (int i = 0, axis = 0; i < to.dims.rank; ++i) to.dims[i] = (ones >> i & 1) != 0 ? 1 : from[axis++];
  return true;
}

bool view(ViewCall& call) {
  const int rank = call.types[0].dims.rank;
  uint32_t ones;
  if (!axes_mask(ShapeCall{call.inputs, call.attributes, {}, {}}, 1, rank, &ones)) return false;
  call.views[0] = {};
  Dims& strides = call.views[0].strides;
  strides.rank = rank;
  for (int i = 0, axis = 0; i < rank; ++i) strides[i] = (ones >> i & 1) != 0 ? 0 : call.strides[axis++];
  return true;
}

}  // namespace

extern const OpDef op_unsqueeze;
const OpDef op_unsqueeze = {.name = "unsqueeze", .shapes = shapes, .view = view};

}  // namespace graphopt
