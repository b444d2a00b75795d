// matmul: [batch…, M, K] · [batch…, K, N] → [batch…, M, N]; vectors as in numpy, trans_a and trans_b as in Gemm.
#include "executor/op.h"
#include "ops/matmul_shapes.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) { return matmul_shapes(call, call.has(0) ? call.inputs[0].type.dtype : gk_dtype{}); }

}  // namespace

extern const OpDef op_matmul;
const OpDef op_matmul = {.name = "matmul", .shapes = shapes, .strided_inputs = 3, .strided_outputs = 1};

}  // namespace graphopt
