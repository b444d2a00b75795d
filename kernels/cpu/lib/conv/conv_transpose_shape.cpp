// The shape of a transposed convolution, read and checked from a call.
#include "cpu/lib/conv/conv_transpose_phase.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace transpose {
namespace {

int read_padding(const gk_call* call, const gk_tensor& y, int spatial, TransposeState* s) {
  int64_t stride[3], dilation[3], output_padding[3], output_shape[3];
  if (!read_sizes(call, "strides", spatial, 1, 1, stride) || !read_sizes(call, "dilations", spatial, 1, 1, dilation) ||
      !read_sizes(call, "output_padding", spatial, 0, 0, output_padding) ||
      !read_sizes(call, "output_shape", spatial, 0, 0, output_shape)) {
    return GK_INVALID_ARGUMENT;
  }
  const Ints pads = ints_attribute(call, "pads");
  if (pads.length != 0 && pads.length != 2 * spatial) return GK_INVALID_ARGUMENT;
  const char* auto_pad = string_attribute(call, "auto_pad", "NOTSET");
  const bool upper = same_text(auto_pad, "SAME_UPPER"), same = upper || same_text(auto_pad, "SAME_LOWER");
  const bool shaped = ints_attribute(call, "output_shape").length != 0;
  for (int i = 0; i < 3; ++i) {
    const int axis = i - 3 + spatial;
    s->stride[i] = s->dilation[i] = 1;
    s->pad[i] = 0;
    if (axis < 0) continue;
    s->stride[i] = stride[axis];
    s->dilation[i] = dilation[axis];
    if (same || shaped) {
      const int64_t full =
          (s->in[i] - 1) * stride[axis] + output_padding[axis] + (s->kernel[i] - 1) * dilation[axis] + 1;
      const int64_t total = full > y.shape[axis + 1] ? full - y.shape[axis + 1] : 0;
      s->pad[i] = upper ? total / 2 : total - total / 2;
    } else if (pads.length != 0 && same_text(auto_pad, "NOTSET")) {
      s->pad[i] = pads.data[axis];
      if (s->pad[i] <= -kDimLimit || s->pad[i] >= kDimLimit) return GK_INVALID_ARGUMENT;
    }
  }
  return GK_OK;
}

}  // namespace

int read_shape(const gk_call* call, TransposeState* s) {
  if (call->input_count < 2 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr ||
      (call->attribute_count > 0 && call->attributes == nullptr) || !has_input(call, 0) || !has_input(call, 1)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &w = call->inputs[1], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(w) || !is_f32(y)) return GK_UNSUPPORTED;
  const int spatial = x.ndim - 2;
  if (spatial < 1 || spatial > 3 || w.ndim != x.ndim || y.ndim != x.ndim || !is_sound(x) || !is_sound(w) || !is_sound(y)) {
    return GK_INVALID_ARGUMENT;
  }
  s->batch = x.shape[0];
  s->channels = x.shape[spatial + 1];
  s->filters = y.shape[spatial + 1];
  s->group = int_attribute(call, "group", 1);
  if (s->group < 1 || s->group >= kDimLimit || w.shape[0] != s->channels || s->channels % s->group != 0 ||
      w.shape[1] * s->group != s->filters || y.shape[0] != s->batch) {
    return GK_INVALID_ARGUMENT;
  }
  if (has_input(call, 2)) {
    const gk_tensor& bias = call->inputs[2];
    if (!is_sound_f32(bias) || bias.ndim != 1 || bias.shape[0] != s->filters) return GK_INVALID_ARGUMENT;
  }
  for (int i = 0; i < 3; ++i) {
    const int axis = i - 3 + spatial;
    s->in[i] = axis < 0 ? 1 : x.shape[axis + 1];
    s->out[i] = axis < 0 ? 1 : y.shape[axis + 1];
    s->kernel[i] = axis < 0 ? 1 : w.shape[axis + 2];
    if (s->kernel[i] < 1) return GK_INVALID_ARGUMENT;
  }
  int status = read_padding(call, y, spatial, s);
  if (status != GK_OK) return status;
  const int64_t pixels = s->out[0] * s->out[1] * s->out[2];
  return prepare_epilogue(call, s->batch, pixels, s->filters, &s->epilogue);
}

}  // namespace transpose
}  // namespace GK_LEVEL
}  // namespace graphopt
