// gather: the slices of input 0 along `axis` (default 0) that the indices of input 1 name; negative ones count from the
// end.
#include "ops/indexed.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!takes_gather(call)) return false;
  const Dims &from = call.inputs[0].type.dims, &indices = call.inputs[1].type.dims;
  const int axis = normalized_axis(call.attributes.integer("axis", 0), from.rank);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(from));
  if (from.rank - 1 + indices.rank > kMaxRank) return call.fail("more than 8 dims");
  TensorType& to = call.outputs[0];
  to = {call.inputs[0].type.dtype, {}};
  for (int i = 0; i < axis; ++i) to.dims[to.dims.rank++] = from[i];
  for (int i = 0; i < indices.rank; ++i) to.dims[to.dims.rank++] = indices[i];
  for (int i = axis + 1; i < from.rank; ++i) to.dims[to.dims.rank++] = from[i];
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_gather;
const OpDef op_gather = {.name = "gather", .shapes = shapes};

}  // namespace graphopt
