// lrn(X): local response normalisation over neighbouring channels of [N, C, …], or [N, …, C] with channels_last.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("lrn takes one input");
  if (call.inputs[0].type.dims.rank < 2) return call.fail("lrn: X has no channels");
  if (call.attributes.integer("size", 0) < 1) return call.fail("lrn: size must be positive");
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_lrn;
const OpDef op_lrn = {.name = "lrn", .shapes = shapes};

}  // namespace graphopt
