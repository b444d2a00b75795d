// pad: elements put before and after the input along each axis, or taken away where a pad is negative.
// Inputs: data, pads [begins…, ends…], value? (default 0), axes? (default: all); attribute `mode`: constant, edge,
// reflect or wrap.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() < 2 || call.inputs.size() > 4 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes an input, pads, a value and axes");
  }
  const TensorType& from = call.inputs[0].type;
  std::vector<int64_t> pads, axes;
  if (!call.integers(1, &pads)) return call.fail("the pads are not known");
  if (call.has(3)) {
    if (!call.integers(3, &axes)) return call.fail("the axes are not known");
  } else {
    for (int i = 0; i < from.dims.rank; ++i) axes.push_back(i);
  }
  if (pads.size() != 2 * axes.size()) return call.fail("not two pads for each axis");
  if (call.has(2)) {
    const TensorType& value = call.inputs[2].type;
    if (value.dtype.code != from.dtype.code || value.dtype.bits != from.dtype.bits || element_count(value.dims) != 1) {
      return call.fail("the value is not one element of the input's dtype");
    }
  }
  const std::string_view mode = call.attributes.text("mode", "constant");
  const bool constant = mode == "constant";
  if (!constant && mode != "edge" && mode != "reflect" && mode != "wrap") return call.fail("no such mode");
  TensorType& to = call.outputs[0];
  to = from;
  uint32_t seen = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = normalized_axis(axes[i], from.dims.rank);
    if (axis < 0 || (seen >> axis & 1) != 0) return call.fail("an axis is out of range or there twice");
    seen |= 1u << axis;
    const int64_t begin = pads[i], end = pads[i + axes.size()];
    int64_t dim = from.dims[axis];
    if (__builtin_add_overflow(dim, begin, &dim) || __builtin_add_overflow(dim, end, &dim) || dim < 0) {
      return call.fail("the pads of dim " + std::to_string(axis) + " leave a negative size");
    }
    // Pads that are copies need something to copy once negative ones are taken away.
    const int64_t kept = from.dims[axis] + (begin < 0 ? begin : 0) + (end < 0 ? end : 0);
    if (!constant && dim > 0 && kept <= 0) return call.fail("nothing to copy along dim " + std::to_string(axis));
    to.dims[axis] = dim;
  }
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_pad;
const OpDef op_pad = {.name = "pad", .shapes = shapes};

}  // namespace graphopt
