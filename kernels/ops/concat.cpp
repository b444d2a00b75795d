// concat: the inputs one after the other along `axis`.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || call.outputs.size() != 1) return call.fail("takes inputs of one rank");
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  const int axis = normalized_axis(call.attributes.integer("axis", 0), to.dims.rank);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(to.dims));
  to.dims[axis] = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const TensorType& from = call.inputs[i].type;
    if (!call.has(i) || from.dims.rank != to.dims.rank || from.dtype.code != to.dtype.code ||
        from.dtype.bits != to.dtype.bits) {
      return call.fail("input " + std::to_string(i) + " has another rank or dtype than the first");
    }
    for (int k = 0; k < to.dims.rank; ++k) {
      if (k != axis && from.dims[k] != to.dims[k]) {
        return call.fail("input " + std::to_string(i) + " has dims " + text_of(from.dims));
      }
    }
    if (__builtin_add_overflow(to.dims[axis], from.dims[axis], &to.dims[axis])) return call.fail("too many elements");
  }
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_concat;
const OpDef op_concat = {.name = "concat", .shapes = shapes, .strided_inputs = 0xffffffffu, .strided_outputs = 1};

}  // namespace graphopt
