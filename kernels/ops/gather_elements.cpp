// gather_elements: the element of input 0 at each index of input 1, which replaces its own position along `axis`.
#include "ops/indexed.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!takes_gather(call)) return false;
  const Dims &from = call.inputs[0].type.dims, &indices = call.inputs[1].type.dims;
  const int axis = normalized_axis(call.attributes.integer("axis", 0), from.rank);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(from));
  if (indices.rank != from.rank) return call.fail("the indices have another rank than the input");
  for (int i = 0; i < from.rank; ++i) {
    if (i != axis && indices[i] > from[i]) {
      return call.fail("the indices " + text_of(indices) + " reach beyond " + text_of(from));
    }
  }
  call.outputs[0] = {call.inputs[0].type.dtype, indices};
  return true;
}

}  // namespace

extern const OpDef op_gather_elements;
const OpDef op_gather_elements = {.name = "gather_elements", .shapes = shapes};

}  // namespace graphopt
