// conv(X, W, bias?, extra…): X [N, spatial…, C] and Y [N, spatial…, M] channels last, W [M, C/group, kernel…] as in
// ONNX. The shape rules of ONNX Conv in one to three spatial dimensions; extra inputs belong to the epilogue.
#include "executor/op.h"

namespace graphopt {
namespace {

constexpr int64_t kMostOfADim = int64_t{1} << 31;

bool in_range(int64_t value, int64_t low) { return value >= low && value < kMostOfADim; }

// One value per spatial axis: the attribute, or `otherwise` for all.
bool per_axis(ShapeCall& call, const char* name, int count, int64_t low, int64_t otherwise, int64_t* values) {
  const auto given = call.attributes.integers(name);
  for (int i = 0; i < count; ++i) values[i] = otherwise;
  if (!call.attributes.has(name)) return true;
  if (given.size() != static_cast<size_t>(count)) return call.fail(std::string(name) + ": one value per spatial axis");
  for (int i = 0; i < count; ++i) {
    values[i] = given[static_cast<size_t>(i)];
    if (values[i] < -kMostOfADim || values[i] > kMostOfADim || values[i] < low) {
      return call.fail(std::string(name) + ": out of range");
    }
  }
  return true;
}

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || call.outputs.size() != 1) return call.fail("conv needs X, W and one output");
  const TensorType& x = call.inputs[0].type;
  const TensorType& w = call.inputs[1].type;
  const int spatial = x.dims.rank - 2;
  if (spatial < 1 || spatial > 3 || w.dims.rank != x.dims.rank) {
    return call.fail("conv: X " + text_of(x.dims) + " and W " + text_of(w.dims) + " are not of one rank from 3 to 5");
  }
  const int64_t group = call.attributes.integer("group", 1);
  const int64_t channels = x.dims[spatial + 1], filters = w.dims[0];
  if (group < 1 || !in_range(channels, 0) || !in_range(filters, 0) || channels % group != 0 ||
      channels / group != w.dims[1] || filters % group != 0) {
    return call.fail("conv: the channels of X " + text_of(x.dims) + " and W " + text_of(w.dims) + " do not fit");
  }
  if (call.has(2) && (call.inputs[2].type.dims.rank != 1 || call.inputs[2].type.dims[0] != filters)) {
    return call.fail("conv: the bias is not one number per filter");
  }
  int64_t strides[3], dilations[3], pads[6];
  if (!per_axis(call, "strides", spatial, 1, 1, strides) || !per_axis(call, "dilations", spatial, 1, 1, dilations) ||
      !per_axis(call, "pads", 2 * spatial, -kMostOfADim, 0, pads)) {
    return false;
  }
  const std::string_view auto_pad = call.attributes.text("auto_pad", "NOTSET");
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (!same && auto_pad != "NOTSET" && auto_pad != "VALID") return call.fail("conv: unknown auto_pad");
  Dims y;
  y.rank = x.dims.rank;
  y[0] = x.dims[0];
  y[spatial + 1] = filters;
  for (int i = 0; i < spatial; ++i) {
    const int64_t in = x.dims[i + 1], kernel = w.dims[i + 2];
    if (!in_range(in, 0) || !in_range(kernel, 1)) return call.fail("conv: a spatial dim is out of range");
    const int64_t padding = auto_pad == "NOTSET" ? pads[i] + pads[i + spatial] : 0;
    const int64_t room = in + padding - ((kernel - 1) * dilations[i] + 1);
    if (!same && room < 0) return call.fail("conv: the kernel is larger than the padded X " + text_of(x.dims));
    y[i + 1] = same ? (in + strides[i] - 1) / strides[i] : room / strides[i] + 1;
  }
  call.outputs[0] = {x.dtype, y};
  return true;
}

}  // namespace

extern const OpDef op_conv;
const OpDef op_conv = {
    .name = "conv", .shapes = shapes, .row_strided_inputs = 1, .row_strided_outputs = 1};

}  // namespace graphopt
