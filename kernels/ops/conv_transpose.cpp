// conv_transpose(X, W, bias?, extra…): X [N, spatial…, C] and Y [N, spatial…, M] channels last, W [C, M/group, kernel…]
// as in ONNX. The shape rules of ONNX ConvTranspose; extra inputs belong to the epilogue.
#include "ops/windows.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || call.outputs.size() != 1) return call.fail("conv_transpose needs X, W and one output");
  const TensorType& x = call.inputs[0].type;
  const TensorType& w = call.inputs[1].type;
  const int spatial = x.dims.rank - 2;
  if (spatial < 1 || spatial > 3 || w.dims.rank != x.dims.rank) {
    return call.fail("conv_transpose: X " + text_of(x.dims) + " and W " + text_of(w.dims) + " are not of one rank from 3 to 5");
  }
  const int64_t group = call.attributes.integer("group", 1);
  if (group < 1 || group >= kMostOfAWindow || x.dims[spatial + 1] != w.dims[0] || w.dims[0] % group != 0 ||
      w.dims[1] >= kMostOfAWindow / group) {
    return call.fail("conv_transpose: the channels of X " + text_of(x.dims) + " and W " + text_of(w.dims) + " do not fit");
  }
  const int64_t filters = w.dims[1] * group;
  if (call.has(2) && (call.inputs[2].type.dims.rank != 1 || call.inputs[2].type.dims[0] != filters)) {
    return call.fail("conv_transpose: the bias is not one number per filter");
  }
  std::vector<int64_t> strides, dilations, pads, output_padding, output_shape;
  if (!window_values(call, "strides", spatial, 1, 1, &strides) ||
      !window_values(call, "dilations", spatial, 1, 1, &dilations) ||
      !window_values(call, "pads", 2 * spatial, 1 - kMostOfAWindow, 0, &pads) ||
      !window_values(call, "output_padding", spatial, 0, 0, &output_padding) ||
      !window_values(call, "output_shape", spatial, 0, -1, &output_shape)) {
    return call.fail("conv_transpose: strides, dilations, pads, output_padding or output_shape do not fit");
  }
  const std::string_view auto_pad = call.attributes.text("auto_pad", "NOTSET");
  if (!is_auto_pad(auto_pad)) return call.fail("conv_transpose: unknown auto_pad");
  Dims y;
  y.rank = x.dims.rank;
  y[0] = x.dims[0];
  y[spatial + 1] = filters;
  for (int i = 0; i < spatial; ++i) {
    const size_t axis = static_cast<size_t>(i);
    const int64_t in = x.dims[i + 1], kernel = w.dims[i + 2];
    if (in >= kMostOfAWindow || kernel < 1 || kernel >= kMostOfAWindow) return call.fail("conv_transpose: a dim is out of range");
    if (output_shape[axis] >= 0) {
      y[i + 1] = output_shape[axis];
    } else if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      y[i + 1] = in * strides[axis];
    } else {
      const int64_t cut = auto_pad == "VALID" ? 0 : pads[axis] + pads[axis + static_cast<size_t>(spatial)];
      y[i + 1] = (in - 1) * strides[axis] + output_padding[axis] + (kernel - 1) * dilations[axis] + 1 - cut;
      // Nothing goes in, nothing comes out.
      if (in == 0) y[i + 1] = 0;
    }
    if (y[i + 1] < 0 || y[i + 1] >= kMostOfAWindow) return call.fail("conv_transpose: no output is left of X " + text_of(x.dims));
  }
  call.outputs[0] = {x.dtype, y};
  return true;
}

}  // namespace

extern const OpDef op_conv_transpose;
const OpDef op_conv_transpose = {.name = "conv_transpose", .shapes = shapes};

}  // namespace graphopt
