// scatter_elements: input 0 with the elements of input 2 put, or added, multiplied, …, where the indices of input 1 say,
// which replace their own position along `axis`.
#include "ops/indexed.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!takes_scatter(call)) return false;
  const Dims &from = call.inputs[0].type.dims, &indices = call.inputs[1].type.dims,
             &updates = call.inputs[2].type.dims;
  const int axis = normalized_axis(call.attributes.integer("axis", 0), from.rank);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(from));
  if (indices.rank != from.rank || updates.rank != from.rank) return call.fail("the ranks differ");
  for (int i = 0; i < from.rank; ++i) {
    if (indices[i] != updates[i] || (i != axis && indices[i] > from[i])) {
      return call.fail("indices " + text_of(indices) + " and updates " + text_of(updates) + " do not fit " +
                       text_of(from));
    }
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_scatter_elements;
const OpDef op_scatter_elements = {.name = "scatter_elements", .shapes = shapes, .in_place = 1};

}  // namespace graphopt
