// layer_norm: X, skip?, pre_bias?, scale?, shift?, operands of the epilogue… → Y, sum?, mean?, inverse deviation?.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || call.outputs.empty() || call.outputs.size() > 4) return call.fail("takes X and gives 1 to 4 outputs");
  const TensorType& x = call.inputs[0].type;
  const int axis = normalized_axis(call.attributes.integer("axis", -1), x.dims.rank);
  if (axis < 0) return call.fail("axis is out of range of " + text_of(x.dims));
  TensorType statistics = x;
  for (int i = axis; i < x.dims.rank; ++i) statistics.dims[i] = 1;
  for (size_t i = 0; i < call.outputs.size(); ++i) call.outputs[i] = i < 2 ? x : statistics;
  return true;
}

}  // namespace

extern const OpDef op_layer_norm;
const OpDef op_layer_norm = {.name = "layer_norm", .shapes = shapes, .in_place = 0b11};

}  // namespace graphopt
