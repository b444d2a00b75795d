// shape: the dims of the input from `start` (default 0) up to `end` (default: all), as int64.
#include <algorithm>

#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  const int64_t rank = call.inputs[0].type.dims.rank;
  const auto position = [rank](int64_t axis) { return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank); };
  const int64_t start = position(call.attributes.integer("start", 0));
  const int64_t end = position(call.attributes.integer("end", rank));
  call.outputs[0] = {{GK_INT, 64, 1}, {1, {std::max<int64_t>(end - start, 0)}}};
  return true;
}

}  // namespace

extern const OpDef op_shape;
const OpDef op_shape = {.name = "shape", .shapes = shapes, .strided_inputs = 1, .reads_types_only = true};

}  // namespace graphopt
