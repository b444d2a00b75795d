// one_hot: a new axis of `depth` (input 1) elements at `axis` (default: the last), all values[0] but values[1] where the
// index of input 0 says.
#include "ops/one_number.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 3 || !call.has(0) || !call.has(1) || !call.has(2) || call.outputs.size() != 1) {
    return call.fail("takes indices, a depth and two values");
  }
  const Dims& indices = call.inputs[0].type.dims;
  const TensorType& values = call.inputs[2].type;
  if (values.dims.rank != 1 || values.dims[0] != 2) return call.fail("the values are not two");
  if (indices.rank + 1 > kMaxRank) return call.fail("more than 8 dims");
  int64_t depth;
  double real;
  if (!one_integer(call.inputs[1], &depth)) {
    if (!one_float(call.inputs[1], &real) || !(real >= 0 && real < 9e18)) return call.fail("the depth is not known");
    depth = static_cast<int64_t>(real);
  }
  if (depth < 0) return call.fail("a negative depth");
  const int axis = normalized_axis(call.attributes.integer("axis", -1), indices.rank + 1);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(indices));
  TensorType& to = call.outputs[0];
  to = {values.dtype, {}};
  to.dims.rank = indices.rank + 1;
  for (int i = 0, from = 0; i < to.dims.rank; ++i) to.dims[i] = i == axis ? depth : indices[from++];
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_one_hot;
const OpDef op_one_hot = {.name = "one_hot", .shapes = shapes};

}  // namespace graphopt
