// cumsum: running sums along an axis, which is input 1.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || call.inputs.size() != 2 || call.outputs.size() != 1) {
    return call.fail("takes X and an axis");
  }
  std::vector<int64_t> axis;
  if (!call.integers(1, &axis) || axis.size() != 1) return call.fail("the axis is not known");
  const Dims& dims = call.inputs[0].type.dims;
  if (normalized_axis(axis[0], dims.rank) < 0) {
    return call.fail("axis " + std::to_string(axis[0]) + " is not one of " + text_of(dims));
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_cumsum;
const OpDef op_cumsum = {.name = "cumsum", .shapes = shapes, .in_place = 1};

}  // namespace graphopt
