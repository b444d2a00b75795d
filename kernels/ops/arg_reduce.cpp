// arg_reduce: where along an axis the largest or smallest element is; int64.
#include "ops/reduced.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || call.inputs.size() != 1 || call.outputs.size() != 1) return call.fail("takes X");
  const Dims& dims = call.inputs[0].type.dims;
  const int64_t axis = call.attributes.integer("axis", 0);
  const int at = normalized_axis(axis, dims.rank);
  if (at < 0) return call.fail("axis " + std::to_string(axis) + " is not one of " + text_of(dims));
  if (dims[at] == 0) return call.fail("no largest element along an empty axis");
  call.outputs[0].dtype = {GK_INT, 64, 1};
  return reduced_dims(call, dims, {&axis, 1}, &call.outputs[0].dims);
}

}  // namespace

extern const OpDef op_arg_reduce;
const OpDef op_arg_reduce = {.name = "arg_reduce", .shapes = shapes, .strided_inputs = 1};

}  // namespace graphopt
