// reduce: sums, means, extremes … over axes, given as attribute or input 1.
#include "ops/reduced.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || call.inputs.size() > 2 || call.outputs.size() != 1) return call.fail("takes X and axes");
  std::vector<int64_t> axes;
  if (call.has(1)) {
    if (!call.integers(1, &axes)) return call.fail("the axes are not known");
  } else {
    const auto given = call.attributes.integers("axes");
    axes.assign(given.begin(), given.end());
  }
  call.outputs[0] = call.inputs[0].type;
  if (axes.empty() && call.attributes.integer("noop_with_empty_axes", 0) != 0) return true;
  return reduced_dims(call, call.inputs[0].type.dims, axes, &call.outputs[0].dims);
}

}  // namespace

extern const OpDef op_reduce;
const OpDef op_reduce = {.name = "reduce", .shapes = shapes, .strided_inputs = 1};

}  // namespace graphopt
