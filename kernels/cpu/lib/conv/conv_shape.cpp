#include "cpu/lib/conv/conv_shape.h"

#include "cpu/lib/row_step.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// Far from any overflow of what is computed of them.
constexpr int64_t kMostOfADim = int64_t{1} << 31, kMostBytes = int64_t{1} << 46;

bool is_size(int64_t value) { return value >= 0 && value < kMostOfADim; }

// A float32 tensor on the CPU whose dims are sizes and whose bytes fit memory; its data may be missing yet.
bool is_sound(const gk_tensor& tensor) {
  if (!is_f32(tensor) || tensor.device.device_type != GK_CPU || tensor.ndim < 0) return false;
  if (tensor.ndim > 0 && tensor.shape == nullptr) return false;
  int64_t bytes = 4;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (!is_size(tensor.shape[i])) return false;
    if (tensor.shape[i] > 0 && __builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) return false;
  }
  return bytes <= kMostBytes;
}

// One value per spatial axis into the last `count` of three; leading axes get `leading`.
bool read_axes(const gk_call* call, const char* name, int count, int64_t low, int64_t leading, int64_t* values) {
  const Ints given = ints_attribute(call, name);
  for (int i = 0; i < 3; ++i) values[i] = leading;
  if (given.length == 0) return true;
  if (given.length != count) return false;
  for (int i = 0; i < count; ++i) {
    if (given.data[i] < low || given.data[i] >= kMostOfADim) return false;
    values[3 - count + i] = given.data[i];
  }
  return true;
}

enum class AutoPad { kNotSet, kValid, kSameUpper, kSameLower, kUnknown };

AutoPad auto_pad_of(const gk_call* call) {
  const gk_attribute* found = find_attribute(call, "auto_pad", GK_ATTRIBUTE_STRING);
  if (found == nullptr) return AutoPad::kNotSet;
  if (same_text(found->value.s, "NOTSET")) return AutoPad::kNotSet;
  if (same_text(found->value.s, "VALID")) return AutoPad::kValid;
  if (same_text(found->value.s, "SAME_UPPER")) return AutoPad::kSameUpper;
  if (same_text(found->value.s, "SAME_LOWER")) return AutoPad::kSameLower;
  return AutoPad::kUnknown;
}

// Padding before an axis and what comes out; false where no element would.
bool resolve_axis(ConvShape& shape, AutoPad auto_pad, int axis, int64_t pad_end) {
  const int64_t span = (shape.kernel[axis] - 1) * shape.dilation[axis] + 1;
  const int64_t in = shape.in[axis], stride = shape.stride[axis];
  if (auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower) {
    shape.out[axis] = (in + stride - 1) / stride;
    const int64_t padding = (shape.out[axis] - 1) * stride + span - in;
    const int64_t odd = auto_pad == AutoPad::kSameLower ? 1 : 0;
    shape.pad[axis] = padding > 0 ? (padding + odd) / 2 : 0;
    return true;
  }
  if (auto_pad == AutoPad::kValid) shape.pad[axis] = pad_end = 0;
  const int64_t room = in + shape.pad[axis] + pad_end - span;
  shape.out[axis] = room < 0 ? 0 : room / stride + 1;
  return room >= 0;
}

// Kernels run along the last axis: an axis of one there, behind a longer one, becomes a leading one.
void drop_last_axes(ConvShape* shape) {
  int64_t* const fields[] = {shape->in, shape->out, shape->kernel, shape->stride, shape->dilation, shape->pad};
  for (int dropped = 0; dropped < 2; ++dropped) {
    if (shape->in[2] != 1 || shape->kernel[2] != 1 || shape->pad[2] != 0 || shape->out[2] != 1) return;
    for (int64_t* axes : fields) {
      const int64_t leading = axes == shape->pad ? 0 : 1;
      axes[2] = axes[1];
      axes[1] = axes[0];
      axes[0] = leading;
    }
  }
}

}  // namespace

int read_conv_shape(const gk_call* call, ConvShape* shape) {
  if (call->input_count < 2 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr ||
      (call->attribute_count > 0 && call->attributes == nullptr) || !has_input(call, 0) || !has_input(call, 1)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &w = call->inputs[1], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(w) || !is_f32(y)) return GK_UNSUPPORTED;
  const int spatial = x.ndim - 2;
  if (spatial < 1 || spatial > 3 || w.ndim != x.ndim || y.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  if (!is_sound(x) || !is_sound(w) || !is_sound(y) || !is_compact(w)) return GK_INVALID_ARGUMENT;
  shape->x_step = row_step(x);
  shape->y_step = row_step(y);
  if ((shape->x_step == 0 && x.shape[spatial + 1] != 0) || (shape->y_step == 0 && y.shape[spatial + 1] != 0)) {
    return GK_UNSUPPORTED;
  }
  shape->batch = x.shape[0];
  shape->channels = x.shape[spatial + 1];
  shape->filters = w.shape[0];
  shape->group = int_attribute(call, "group", 1);
  if (shape->group < 1 || shape->channels % shape->group != 0 || shape->filters % shape->group != 0 ||
      shape->channels / shape->group != w.shape[1] || y.shape[0] != shape->batch ||
      y.shape[spatial + 1] != shape->filters) {
    return GK_INVALID_ARGUMENT;
  }
  if (has_input(call, 2)) {
    const gk_tensor& bias = call->inputs[2];
    if (!is_sound(bias) || !is_compact(bias) || bias.ndim != 1 || bias.shape[0] != shape->filters) {
      return GK_INVALID_ARGUMENT;
    }
  }
  if (!read_axes(call, "strides", spatial, 1, 1, shape->stride) ||
      !read_axes(call, "dilations", spatial, 1, 1, shape->dilation)) {
    return GK_INVALID_ARGUMENT;
  }
  const Ints pads = ints_attribute(call, "pads");
  if (pads.length != 0 && pads.length != 2 * spatial) return GK_INVALID_ARGUMENT;
  const AutoPad auto_pad = auto_pad_of(call);
  if (auto_pad == AutoPad::kUnknown) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < 3; ++i) {
    const int axis = i - (3 - spatial); // of the tensors' spatial axes
    shape->in[i] = axis < 0 ? 1 : x.shape[axis + 1];
    shape->kernel[i] = axis < 0 ? 1 : w.shape[axis + 2];
    shape->pad[i] = axis < 0 || pads.length == 0 ? 0 : pads.data[axis];
    const int64_t end = axis < 0 || pads.length == 0 ? 0 : pads.data[axis + spatial];
    if (shape->kernel[i] < 1 || shape->pad[i] <= -kMostOfADim || shape->pad[i] >= kMostOfADim || end <= -kMostOfADim ||
        end >= kMostOfADim) {
      return GK_INVALID_ARGUMENT;
    }
    if (!resolve_axis(*shape, auto_pad, i, end)) return GK_INVALID_ARGUMENT;
    if (axis >= 0 && y.shape[axis + 1] != shape->out[i]) return GK_INVALID_ARGUMENT;
  }
  drop_last_axes(shape);
  return GK_OK;
}

bool is_matrix_product(const ConvShape& shape) {
  for (int axis = 0; axis < 3; ++axis) {
    if (shape.kernel[axis] != 1 || shape.pad[axis] != 0 || shape.out[axis] != shape.in[axis]) return false;
    if (shape.stride[axis] != 1 && shape.out[axis] > 1) return false;
  }
  return shape.group == 1;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
