// eye_like: ones on diagonal `k` and zeros elsewhere, in the dims of a matrix and of its dtype or of `dtype` (ONNX's
// number).
#include "executor/op.h"

namespace graphopt {
namespace {

// The numeric types by the numbers of ONNX's TensorProto.DataType; code 0 and no bits where there is no such type here.
gk_dtype dtype_of(int64_t number) {
  switch (number) {
    case 1: return {GK_FLOAT, 32, 1};
    case 2: return {GK_UINT, 8, 1};
    case 3: return {GK_INT, 8, 1};
    case 4: return {GK_UINT, 16, 1};
    case 5: return {GK_INT, 16, 1};
    case 6: return {GK_INT, 32, 1};
    case 7: return {GK_INT, 64, 1};
    case 9: return {GK_BOOL, 8, 1};
    case 10: return {GK_FLOAT, 16, 1};
    case 11: return {GK_FLOAT, 64, 1};
    case 12: return {GK_UINT, 32, 1};
    case 13: return {GK_UINT, 64, 1};
    case 16: return {GK_BFLOAT, 16, 1};
    default: return {};
  }
}

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  if (to.dims.rank != 2) return call.fail("takes a matrix");
  if (call.attributes.has("dtype")) to.dtype = dtype_of(call.attributes.integer("dtype", 0));
  if (to.dtype.bits == 0) return call.fail("no such dtype here");
  return true;
}

}  // namespace

extern const OpDef op_eye_like;
const OpDef op_eye_like = {.name = "eye_like", .shapes = shapes, .strided_inputs = 1, .reads_types_only = true};

}  // namespace graphopt
