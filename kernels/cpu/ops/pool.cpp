// Pooling over [N, spatial…, C] float32, compact; 1 to 3 spatial axes.
//
//   max:      y[o, c] = max over the window's elements inside X          (NaN if there is one)
//   average:  y[o, c] = Σ x / count; count_include_pad counts padding, but nothing beyond it
//   lp:       y[o, c] = (Σ |x|^p)^(1/p)
//
// Bytes moved: X and Y once where windows do not overlap by more than the first cache holds. A task is a few output
// pixels; each collects pointers to its elements and walks the channels a vector at a time.
#include <math.h>

#include "cpu/call.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kPointers = 64;        // elements of a window between two visits to Y
constexpr int64_t kSegment = 128;    // channels of a task where pixels are few

enum Kind : int32_t { kMax, kAverage, kLp };

struct State {
  Kind kind;
  int32_t p, count_include_pad;
  int64_t batch, channels, segment;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

int prepare(const gk_call* call, State* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  const int spatial = x.ndim - 2;
  if (spatial < 1 || spatial > 3 || y.ndim != x.ndim || !is_sound(x) || !is_sound(y)) return GK_INVALID_ARGUMENT;
  const char* kind = string_attribute(call, "kind", "");
  if (same_text(kind, "max")) {
    state->kind = kMax;
  } else if (same_text(kind, "average")) {
    state->kind = kAverage;
  } else if (same_text(kind, "lp")) {
    state->kind = kLp;
  } else {
    return GK_INVALID_ARGUMENT;
  }
  const int64_t p = int_attribute(call, "p", 2);
  if (p < 1 || p > 1024) return GK_INVALID_ARGUMENT;
  state->p = static_cast<int32_t>(p);
  state->count_include_pad = int_attribute(call, "count_include_pad", 0) != 0;
  state->batch = x.shape[0];
  state->channels = x.shape[spatial + 1];
  if (y.shape[0] != state->batch || y.shape[spatial + 1] != state->channels) return GK_INVALID_ARGUMENT;
  int64_t kernel[3], stride[3], dilation[3], pads[6];
  if (!read_sizes(call, "kernel_shape", spatial, 1, 0, kernel) || !read_sizes(call, "strides", spatial, 1, 1, stride) ||
      !read_sizes(call, "dilations", spatial, 1, 1, dilation) || !read_sizes(call, "pads", 2 * spatial, 0, 0, pads)) {
    return GK_INVALID_ARGUMENT;
  }
  const char* auto_pad = string_attribute(call, "auto_pad", "NOTSET");
  const bool lower = same_text(auto_pad, "SAME_LOWER"), same = lower || same_text(auto_pad, "SAME_UPPER");
  for (int i = 0; i < 3; ++i) {
    const int axis = i - 3 + spatial;
    state->in[i] = state->out[i] = state->kernel[i] = state->stride[i] = state->dilation[i] = 1;
    state->pad[i] = state->pad_end[i] = 0;
    if (axis < 0) continue;
    state->in[i] = x.shape[axis + 1];
    state->out[i] = y.shape[axis + 1];
    state->kernel[i] = kernel[axis];
    state->stride[i] = stride[axis];
    state->dilation[i] = dilation[axis];
    if (same) {
      int64_t total = (state->out[i] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - state->in[i];
      total = total > 0 ? total : 0;
      state->pad[i] = lower ? total - total / 2 : total / 2;
      state->pad_end[i] = total - state->pad[i];
    } else if (same_text(auto_pad, "NOTSET")) {
      state->pad[i] = pads[axis];
      state->pad_end[i] = pads[axis + spatial];
    }
  }
  const int64_t pixels = state->batch * state->out[0] * state->out[1] * state->out[2];
  state->segment = pixels >= 16 || state->channels <= kSegment ? state->channels : kSegment;
  return GK_OK;
}

// Taps of a window that lie inside the input, [first, last), and how many lie inside input or padding.
struct Range {
  int64_t first, last, padded;
};

Range range_of(const State& s, int axis, int64_t out) {
  const int64_t start = out * s.stride[axis] - s.pad[axis], dilation = s.dilation[axis], kernel = s.kernel[axis];
  const int64_t end = s.in[axis] - start, padded_end = end + s.pad_end[axis];
  Range range;
  range.first = start < 0 ? (-start + dilation - 1) / dilation : 0;
  range.last = end <= 0 ? 0 : (end + dilation - 1) / dilation;
  range.padded = padded_end <= 0 ? 0 : (padded_end + dilation - 1) / dilation;
  if (range.first > kernel) range.first = kernel;
  if (range.last > kernel) range.last = kernel;
  if (range.padded > kernel) range.padded = kernel;
  if (range.last < range.first) range.last = range.first;
  return range;
}

inline VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

VecF32 raised(VecF32 x, float exponent) {
  for (int i = 0; i < kLanes; ++i) x[i] = powf(x[i], exponent);
  return x;
}

template <Kind kind>
inline __attribute__((always_inline)) VecF32 term(VecF32 x, int p) {
  if constexpr (kind != kLp) return x;
  if (p == 2) return x * x;
  x = x < 0.0f ? -x : x;
  return p == 1 ? x : raised(x, static_cast<float>(p));
}

template <Kind kind>
inline __attribute__((always_inline)) VecF32 merge(VecF32 a, VecF32 b) {
  if constexpr (kind == kMax) return (a >= b) | (a != a) ? a : b;
  return a + b;
}

// y[0, channels) from `count` elements; `begin` and `end` say whether they are the window's first and last ones.
template <Kind kind>
void pool_elements(const State& s, const float* const* x, int count, bool begin, bool end, float scale, float* y,
                   int64_t channels) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t left = channels - c;
    VecF32 sum = splat(kind == kMax ? -__builtin_inff() : 0.0f);
    if (!begin) sum = load_some(y + c, left);
    int t = 0;
    if (left >= kLanes) {
      for (; t < count; ++t) sum = merge<kind>(sum, term<kind>(load_lanes(x[t] + c), s.p));
    } else {
      for (; t < count; ++t) sum = merge<kind>(sum, term<kind>(load_part(x[t] + c, left), s.p));
    }
    if (end && kind == kAverage) sum *= splat(scale);
    if (end && kind == kLp && s.p != 1) {
      if (s.p == 2) {
        for (int i = 0; i < kLanes; ++i) sum[i] = __builtin_sqrtf(sum[i]);
      } else {
        sum = raised(sum, 1.0f / static_cast<float>(s.p));
      }
    }
    if (left >= kLanes) {
      store_lanes(y + c, sum);
    } else {
      store_part(y + c, sum, left);
    }
  }
}

struct Run {
  const State* state;
  const float* x;
  float* y;
};

template <Kind kind>
void run_tasks(void* context, int64_t first, int64_t last, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t segments = (s.channels + s.segment - 1) / s.segment;
  for (int64_t task = first; task < last; ++task) {
    const int64_t c0 = task % segments * s.segment, pixel = task / segments;
    const int64_t ow = pixel % s.out[2], oh = pixel / s.out[2] % s.out[1], od = pixel / s.out[2] / s.out[1] % s.out[0];
    const int64_t n = pixel / s.out[2] / s.out[1] / s.out[0];
    const int64_t channels = s.channels - c0 < s.segment ? s.channels - c0 : s.segment;
    const Range d = range_of(s, 0, od), h = range_of(s, 1, oh), w = range_of(s, 2, ow);
    const int64_t inside = (d.last - d.first) * (h.last - h.first) * (w.last - w.first);
    const float padded = static_cast<float>(d.padded) * static_cast<float>(h.padded) * static_cast<float>(w.padded);
    const float scale = 1.0f / (s.count_include_pad != 0 ? padded : static_cast<float>(inside));
    const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.channels + c0;
    float* y = run.y + pixel * s.channels + c0;
    const float* elements[kPointers];
    int count = 0;
    bool begin = true;
    int64_t left = inside;
    for (int64_t i = d.first; i < d.last; ++i) {
      for (int64_t j = h.first; j < h.last; ++j) {
        const int64_t id = od * s.stride[0] - s.pad[0] + i * s.dilation[0];
        const int64_t ih = oh * s.stride[1] - s.pad[1] + j * s.dilation[1];
        const float* row = image + (id * s.in[1] + ih) * s.in[2] * s.channels;
        for (int64_t k = w.first; k < w.last; ++k, --left) {
          elements[count++] = row + (ow * s.stride[2] - s.pad[2] + k * s.dilation[2]) * s.channels;
          if (count < kPointers || left == 1) continue;
          pool_elements<kind>(s, elements, count, begin, false, scale, y, channels);
          count = 0;
          begin = false;
        }
      }
    }
    pool_elements<kind>(s, elements, count, begin, true, scale, y, channels);
  }
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  const int64_t segments = s.segment == 0 ? 0 : (s.channels + s.segment - 1) / s.segment;
  const int64_t tasks = s.batch * s.out[0] * s.out[1] * s.out[2] * segments;
  Run run = {state, data_of<const float>(call->inputs[0]), data_of<float>(call->outputs[0])};
  // Taps inside X bound the work of a task, whatever the window's size.
  int64_t bytes = 4 * s.segment;
  for (int i = 0; i < 3; ++i) bytes *= s.kernel[i] < s.in[i] ? s.kernel[i] : s.in[i];
  const int64_t grain = bytes == 0 ? 1 : (kGrainBytes + bytes - 1) / bytes;
  const gk_body bodies[] = {run_tasks<kMax>, run_tasks<kAverage>, run_tasks<kLp>};
  return parallel_for(call, tasks, grain, bodies[s.kind], &run);
}

}  // namespace

int pool(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
