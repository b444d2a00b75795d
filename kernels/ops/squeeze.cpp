// squeeze: the input without the dims of one at `axes` (input 1 or attribute; default: all of them).
#include "executor/op.h"
#include "ops/axes.h"

namespace graphopt {
namespace {

// Bit i: dim i goes.
bool removed_axes(const ShapeCall& call, uint32_t* removed) {
  const Dims& from = call.inputs[0].type.dims;
  *removed = 0;
  if (call.has(1) || call.attributes.has("axes")) {
    return axes_mask(call, 1, from.rank, removed);
  }
  for (int i = 0; i < from.rank; ++i) {
    if (from[i] == 1) *removed |= 1u << i;
  }
  return true;
}

bool shapes(ShapeCall& call) {
  if (call.inputs.empty() || call.inputs.size() > 2 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes an input and axes");
  }
  const Dims& from = call.inputs[0].type.dims;
  uint32_t removed;
  if (!removed_axes(call, &removed)) return call.fail("axes are unknown or do not fit " + text_of(from));
  TensorType& to = call.outputs[0];
  to = {call.inputs[0].type.dtype, {}};
  for (int i = 0; i < from.rank; ++i) {
    if ((removed >> i & 1) == 0) {
      to.dims[to.dims.rank++] = from[i];
    } else if (from[i] != 1) {
      return call.fail("dim " + std::to_string(i) + " of " + text_of(from) + " is not 1");
    }
  }
  return true;
}

bool view(ViewCall& call) {
  uint32_t removed;
  if (!removed_axes(ShapeCall{call.inputs, call.attributes, {}, {}}, &removed)) return false;
  call.views[0] = {};
  Dims& strides = call.views[0].strides;
  for (int i = 0; i < call.strides.rank; ++i) {
    if ((removed >> i & 1) == 0) strides[strides.rank++] = call.strides[i];
  }
  return true;
}

}  // namespace

extern const OpDef op_squeeze;
const OpDef op_squeeze = {.name = "squeeze", .shapes = shapes, .view = view};

}  // namespace graphopt
