// copy: y = x with other strides.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_copy;
const OpDef op_copy = {.name = "copy", .shapes = shapes, .strided_inputs = 1, .strided_outputs = 1};

}  // namespace graphopt
