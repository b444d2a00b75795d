// top_k: the K largest or smallest elements along an axis, and where they are.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || call.inputs.size() != 2 || call.outputs.empty() || call.outputs.size() > 2) {
    return call.fail("takes X and K and gives values and indices");
  }
  std::vector<int64_t> k;
  if (!call.integers(1, &k) || k.size() != 1) return call.fail("K is not known");
  TensorType type = call.inputs[0].type;
  const int64_t axis = call.attributes.integer("axis", -1);
  const int at = normalized_axis(axis, type.dims.rank);
  if (at < 0) return call.fail("axis " + std::to_string(axis) + " is not one of " + text_of(type.dims));
  if (k[0] < 0 || k[0] > type.dims[at]) {
    return call.fail("K is " + std::to_string(k[0]) + " of " + std::to_string(type.dims[at]));
  }
  type.dims[at] = k[0];
  call.outputs[0] = type;
  if (call.outputs.size() > 1) call.outputs[1] = {{GK_INT, 64, 1}, type.dims};
  return true;
}

}  // namespace

extern const OpDef op_top_k;
const OpDef op_top_k = {.name = "top_k", .shapes = shapes};

}  // namespace graphopt
