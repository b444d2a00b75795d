// size: the number of elements of the input, as an int64 scalar.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  call.outputs[0] = {{GK_INT, 64, 1}, {}};
  return true;
}

}  // namespace

extern const OpDef op_size;
const OpDef op_size = {.name = "size", .shapes = shapes, .strided_inputs = 1, .reads_types_only = true};

}  // namespace graphopt
