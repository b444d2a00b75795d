// eye_like: ones on diagonal `k` and zeros elsewhere, in the dims of a matrix and of its dtype or of `dtype` (ONNX's
// number).
#include "ops/onnx_dtype.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  if (to.dims.rank != 2) return call.fail("takes a matrix");
  if (call.attributes.has("dtype")) to.dtype = onnx_dtype(call.attributes.integer("dtype", 0));
  if (to.dtype.bits == 0) return call.fail("no such dtype here");
  return true;
}

}  // namespace

extern const OpDef op_eye_like;
const OpDef op_eye_like = {.name = "eye_like", .shapes = shapes, .strided_inputs = 1, .reads_types_only = true};

}  // namespace graphopt
