// expand: the input broadcast against the shape of input 1 (both ways: a 1 of that shape keeps the input's dim).
// A repeated dim has stride 0.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 2 || !call.has(0) || !call.has(1) || call.outputs.size() != 1) {
    return call.fail("takes an input and a shape");
  }
  std::vector<int64_t> target;
  if (!call.integers(1, &target) || call.inputs[1].type.dims.rank != 1) {
    return call.fail("the shape is not a known vector of integers");
  }
  if (target.size() > static_cast<size_t>(kMaxRank)) return call.fail("more than 8 dims");
  Dims shape;
  for (const int64_t dim : target) {
    if (dim < 0) return call.fail("the shape has a negative dim");
    shape[shape.rank++] = dim;
  }
  const Dims& from = call.inputs[0].type.dims;
  TensorType& to = call.outputs[0];
  to.dtype = call.inputs[0].type.dtype;
  if (!broadcast({&from, &shape}, &to.dims)) {
    return call.fail(text_of(from) + " does not broadcast against " + text_of(shape));
  }
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

bool view(ViewCall& call) {
  const Dims &from = call.inputs[0].type.dims, &to = call.types[0].dims;
  call.views[0] = {};
  Dims& strides = call.views[0].strides;
  strides.rank = to.rank;
  const int added = to.rank - from.rank;
  for (int i = added; i < to.rank; ++i) strides[i] = from[i - added] == to[i] ? call.strides[i - added] : 0;
  return true;
}

}  // namespace

extern const OpDef op_expand;
const OpDef op_expand = {.name = "expand", .shapes = shapes, .view = view};

}  // namespace graphopt
