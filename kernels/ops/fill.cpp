// fill: a tensor of the shape of input 0, every element the one of input 1 (absent: float32 0).
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.empty() || call.inputs.size() > 2 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes a shape and a value");
  }
  std::vector<int64_t> shape;
  if (!call.integers(0, &shape) || call.inputs[0].type.dims.rank != 1) {
    return call.fail("the shape is not a known vector of integers");
  }
  if (shape.size() > static_cast<size_t>(kMaxRank)) return call.fail("more than 8 dims");
  if (call.has(1) && element_count(call.inputs[1].type.dims) != 1) return call.fail("the value is not one element");
  TensorType& to = call.outputs[0];
  to = {call.has(1) ? call.inputs[1].type.dtype : gk_dtype{GK_FLOAT, 32, 1}, {}};
  for (const int64_t dim : shape) to.dims[to.dims.rank++] = dim;
  if (element_count(to.dims) < 0) return call.fail("no tensor has the dims " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_fill;
const OpDef op_fill = {.name = "fill", .shapes = shapes, .strided_outputs = 1};

}  // namespace graphopt
