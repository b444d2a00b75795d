// matmul_integer: shapes as matmul without transposed factors; int32.
#include "executor/op.h"
#include "ops/matmul_shapes.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() > 4) return call.fail("takes two matrices and their zero points");
  return matmul_shapes(call, {GK_INT, 32, 1});
}

}  // namespace

extern const OpDef op_matmul_integer;
const OpDef op_matmul_integer = {.name = "matmul_integer", .shapes = shapes, .strided_inputs = 3};

}  // namespace graphopt
