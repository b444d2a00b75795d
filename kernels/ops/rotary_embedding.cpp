// rotary_embedding: X, cos, sin, positions? → Y of the same shape.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || !call.has(2) || call.outputs.size() != 1) return call.fail("takes X, cos and sin");
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_rotary_embedding;
const OpDef op_rotary_embedding = {
    .name = "rotary_embedding", .shapes = shapes, .strided_inputs = 0b1, .in_place = 0b1};

}  // namespace graphopt
