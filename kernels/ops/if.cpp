// if: one of two programs, by a boolean. The executor resolves both and jumps.
#include "executor/op.h"

namespace graphopt {
namespace {

// The shapes of the results are those of the branches.
bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0)) return call.fail("takes one condition");
  const TensorType& condition = call.inputs[0].type;
  if (condition.dtype.code != GK_BOOL || element_count(condition.dims) != 1) {
    return call.fail("its condition is not one boolean but of shape " + text_of(condition.dims));
  }
  return true;
}

}  // namespace

extern const OpDef op_if;
const OpDef op_if = {.name = "if", .shapes = shapes};

}  // namespace graphopt
