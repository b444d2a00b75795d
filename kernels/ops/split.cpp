// split: the input cut along `axis` (default 0) into as many parts as there are outputs: of the sizes of input 1, or
// equal ones of which the last may be smaller.
#include <algorithm>

#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.empty() || call.inputs.size() > 2 || !call.has(0) || call.outputs.empty()) {
    return call.fail("takes an input and sizes");
  }
  const Dims& from = call.inputs[0].type.dims;
  const int axis = normalized_axis(call.attributes.integer("axis", 0), from.rank);
  if (axis < 0) return call.fail("axis is out of range for " + text_of(from));
  const auto parts = static_cast<int64_t>(call.outputs.size());
  std::vector<int64_t> sizes;
  if (call.has(1)) {
    if (!call.integers(1, &sizes)) return call.fail("the sizes are not known");
    if (static_cast<int64_t>(sizes.size()) != parts) return call.fail("not as many sizes as outputs");
  } else {
    if (call.attributes.integer("num_outputs", parts) != parts) return call.fail("num_outputs is not their number");
    const int64_t size = (from[axis] + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<int64_t>(from[axis] - i * size, 0, size));
  }
  int64_t left = from[axis];
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > left) return call.fail("the sizes do not add up to dim " + std::to_string(axis));
    left -= sizes[i];
    call.outputs[i] = call.inputs[0].type;
    call.outputs[i].dims[axis] = sizes[i];
  }
  if (left != 0) return call.fail("the sizes do not add up to dim " + std::to_string(axis));
  return true;
}

bool view(ViewCall& call) {
  const int axis = normalized_axis(call.attributes.integer("axis", 0), call.strides.rank);
  int64_t offset = 0;
  for (size_t i = 0; i < call.views.size(); ++i) {
    call.views[i] = {call.strides, offset};
    offset += call.types[i].dims[axis] * call.strides[axis];
  }
  return true;
}

}  // namespace

extern const OpDef op_split;
const OpDef op_split = {.name = "split", .shapes = shapes, .view = view};

}  // namespace graphopt
