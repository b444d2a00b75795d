// softmax: X → Y of the same shape; attributes axis, log.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  const TensorType& x = call.inputs[0].type;
  if (normalized_axis(call.attributes.integer("axis", -1), x.dims.rank) < 0) {
    return call.fail("axis is out of range of " + text_of(x.dims));
  }
  call.outputs[0] = x;
  return true;
}

}  // namespace

extern const OpDef op_softmax;
const OpDef op_softmax = {.name = "softmax", .shapes = shapes, .in_place = 0b1};

}  // namespace graphopt
