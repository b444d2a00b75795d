// pool: MaxPool, AveragePool and LpPool over [N, spatial…, C].
#include "ops/windows.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("pool takes one input");
  const TensorType& x = call.inputs[0].type;
  const int spatial = x.dims.rank - 2;
  if (spatial < 1 || spatial > 3) return call.fail("pool takes 1 to 3 spatial axes, not " + text_of(x.dims));
  std::vector<int64_t> kernel, strides, dilations, pads;
  if (!call.attributes.has("kernel_shape") || !window_values(call, "kernel_shape", spatial, 1, 1, &kernel) ||
      !window_values(call, "strides", spatial, 1, 1, &strides) ||
      !window_values(call, "dilations", spatial, 1, 1, &dilations) ||
      !window_values(call, "pads", 2 * spatial, 0, 0, &pads)) {
    return call.fail("kernel_shape, strides, dilations or pads do not fit");
  }
  const std::string_view auto_pad = call.attributes.text("auto_pad", "NOTSET");
  if (!is_auto_pad(auto_pad)) return call.fail("unknown auto_pad");
  const bool ceil = call.attributes.integer("ceil_mode", 0) != 0;
  call.outputs[0] = x;
  for (int i = 0; i < spatial; ++i) {
    const size_t axis = static_cast<size_t>(i);
    const int64_t in = x.dims[i + 1], stride = strides[axis];
    int64_t& out = call.outputs[0].dims[i + 1];
    if (in >= kMostOfAWindow) return call.fail("a dim is too large");
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      out = (in + stride - 1) / stride;
      continue;
    }
    const bool padded = auto_pad == "NOTSET";
    const int64_t begin = padded ? pads[axis] : 0, end = padded ? pads[axis + static_cast<size_t>(spatial)] : 0;
    const int64_t room = in + begin + end - (kernel[axis] - 1) * dilations[axis] - 1;
    if (room < 0) return call.fail("the window is larger than the padded input " + text_of(x.dims));
    out = (ceil ? (room + stride - 1) / stride : room / stride) + 1;
    // A window that starts in the padding at the end sees nothing.
    if (ceil && (out - 1) * stride >= in + begin) --out;
  }
  return true;
}

}  // namespace

extern const OpDef op_pool;
const OpDef op_pool = {.name = "pool", .shapes = shapes, .row_strided_inputs = 1};

}  // namespace graphopt
