// flatten: a matrix whose rows are the dims before `axis` (default 1) and whose columns are the others.
#include "executor/op.h"
#include "ops/reshaped.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  const Dims& from = call.inputs[0].type.dims;
  int64_t axis = call.attributes.integer("axis", 1);
  if (axis < 0) axis += from.rank;
  // An axis one past the last is right: then there is one column.
  if (axis < 0 || axis > from.rank) return call.fail("axis is out of range for " + text_of(from));
  Dims rows, columns;
  for (int i = 0; i < from.rank; ++i) {
    Dims& side = i < axis ? rows : columns;
    side[side.rank++] = from[i];
  }
  TensorType& to = call.outputs[0];
  to.dtype = call.inputs[0].type.dtype;
  to.dims.rank = 2;
  to.dims[0] = element_count(rows);
  to.dims[1] = element_count(columns);
  if (to.dims[0] < 0 || to.dims[1] < 0) return call.fail("too many elements in " + text_of(from));
  return true;
}

bool view(ViewCall& call) {
  call.views[0].offset = 0;
  return reshaped_strides(call.inputs[0].type.dims, call.strides, call.types[0].dims, &call.views[0].strides);
}

}  // namespace

extern const OpDef op_flatten;
const OpDef op_flatten = {.name = "flatten", .shapes = shapes, .view = view};

}  // namespace graphopt
