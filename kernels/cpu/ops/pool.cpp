// Pooling over [N, spatial…, C] float32, the pixels of X at any distance, Y compact; 1 to 3 spatial axes.
//
//   max:      y[o, c] = max over the window's elements inside X          (NaN if there is one)
//   average:  y[o, c] = Σ x / count; count_include_pad counts padding, but nothing beyond it
//   lp:       y[o, c] = (Σ |x|^p)^(1/p)
//
// Bytes moved: X and Y once where windows do not overlap by more than the first cache holds. A task is a row of output
// pixels: pointers to the elements of a window, which move along. Large windows, and few channels with a stride,
// merge the window's rows first, then its columns. Where pixels are few a task is some channels of one.
#include <math.h>

#include "cpu/call.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/vmath.h"
#include "cpu/lib/row_step.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kPointers = 64;          // elements of a window between two visits to Y
constexpr int64_t kFewTaps = 12;       // windows of more are merged rows first
constexpr int64_t kSpanFloats = 4096;  // sums over a window's rows, in the first cache
constexpr int64_t kSegment = 128;      // channels of a task where pixels are few

enum Kind : int32_t { kMax, kAverage, kLp };

struct State {
  Kind kind;
  int32_t p, count_include_pad, by_row;
  int64_t batch, channels, segment, x_step; // x_step: floats from pixel to pixel of X
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

int prepare(const gk_call* call, State* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  const int spatial = x.ndim - 2;
  if (spatial < 1 || spatial > 3 || y.ndim != x.ndim || !has_sound_dims(x) || !is_sound(y)) return GK_INVALID_ARGUMENT;
  state->x_step = row_step(x);
  if (state->x_step == 0 && x.shape[spatial + 1] > 0) return GK_UNSUPPORTED;
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
  const int64_t reach = (state->kernel[2] - 1) * state->dilation[2] + 1;
  state->by_row = pixels >= 16 && state->channels > 0 && reach <= kSpanFloats / state->channels &&
                  state->kernel[0] <= kPointers && state->kernel[0] * state->kernel[1] <= kPointers;
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

template <Kind kind>
GK_INLINE VecF32 merge(VecF32 a, VecF32 b) {
  return kind == kMax ? vmath::max(a, b) : a + b;
}

VecF32 raised(VecF32 x, float exponent) {
  for (int i = 0; i < kLanes; ++i) x[i] = powf(x[i], exponent);
  return x;
}

// What an element of X adds to the sum.
template <Kind kind>
GK_INLINE VecF32 term(VecF32 x, int p) {
  if constexpr (kind != kLp) return x;
  if (p == 2) return x * x;
  x = vmath::abs(x);
  return p == 1 ? x : raised(x, static_cast<float>(p));
}

// y[0, n) from the rows at x[0, count). `Elements`: they are rows of X, otherwise sums already. `begin` and `end` say
// whether they are a window's first and last ones.
struct Merge {
  const float* const* x;
  int count, p;
  bool begin, end;
  float scale;
  float* y;
};

template <Kind kind, bool Elements, int V>
GK_INLINE void merge_vectors(const Merge& m, int64_t at, int64_t left) {
  const auto load = [&](const float* from, int v) {
    from += at + v * kLanes;
    return V > 1 || left >= kLanes ? load_lanes(from) : load_part(from, left);
  };
  VecF32 sum[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sum[v] = m.begin ? splat(kind == kMax ? -__builtin_inff() : 0.0f) : load(m.y, v);
  for (int t = 0; t < m.count; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const VecF32 x = load(m.x[t], v);
      sum[v] = merge<kind>(sum[v], Elements ? term<kind>(x, m.p) : x);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    if (m.end && kind == kAverage) sum[v] *= m.scale;
    if (m.end && kind == kLp && m.p == 2) sum[v] = vmath::sqrt(sum[v]);
    if (m.end && kind == kLp && m.p > 2) sum[v] = raised(sum[v], 1.0f / static_cast<float>(m.p));
    if (V > 1 || left >= kLanes) {
      store_lanes(m.y + at + v * kLanes, sum[v]);
    } else {
      store_part(m.y + at, sum[v], left);
    }
  }
}

template <Kind kind, bool Elements>
void merge_rows(const Merge& m, int64_t n) {
  int64_t at = 0;
  for (; at + 4 * kLanes <= n; at += 4 * kLanes) merge_vectors<kind, Elements, 4>(m, at, n - at);
  for (; at < n; at += kLanes) merge_vectors<kind, Elements, 1>(m, at, n - at);
}

struct Run {
  const State* state;
  const float* x;
  float* y;
};

// 1 / the number of elements that an average divides by.
float share_of(const State& s, const Range& d, const Range& h, const Range& w) {
  const auto size = [&](const Range& r) {
    return static_cast<float>(s.count_include_pad != 0 ? r.padded : r.last - r.first);
  };
  return 1.0f / (size(d) * size(h) * size(w));
}

// ---- one output pixel at a time ----

// Channels [c0, c0 + channels) of output pixel (n, o).
template <Kind kind>
void pool_pixel(const Run& run, int64_t n, const int64_t* o, int64_t c0, int64_t channels) {
  const State& s = *run.state;
  const Range d = range_of(s, 0, o[0]), h = range_of(s, 1, o[1]), w = range_of(s, 2, o[2]);
  const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.x_step + c0;
  float* y = run.y + (((n * s.out[0] + o[0]) * s.out[1] + o[1]) * s.out[2] + o[2]) * s.channels + c0;
  const float* elements[kPointers];
  Merge m = {elements, 0, s.p, true, false, share_of(s, d, h, w), y};
  int64_t left = (d.last - d.first) * (h.last - h.first) * (w.last - w.first);
  for (int64_t i = d.first; i < d.last; ++i) {
    for (int64_t j = h.first; j < h.last; ++j) {
      const int64_t id = o[0] * s.stride[0] - s.pad[0] + i * s.dilation[0];
      const int64_t ih = o[1] * s.stride[1] - s.pad[1] + j * s.dilation[1];
      const float* row = image + (id * s.in[1] + ih) * s.in[2] * s.x_step;
      for (int64_t k = w.first; k < w.last; ++k, --left) {
        elements[m.count++] = row + (o[2] * s.stride[2] - s.pad[2] + k * s.dilation[2]) * s.x_step;
        if (m.count < kPointers || left == 1) continue;
        merge_rows<kind, true>(m, channels);
        m.count = 0;
        m.begin = false;
      }
    }
  }
  m.end = true;
  merge_rows<kind, true>(m, channels);
}

template <Kind kind>
void run_pixels(void* context, int64_t first, int64_t last, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t segments = (s.channels + s.segment - 1) / s.segment;
  for (int64_t task = first; task < last; ++task) {
    const int64_t c0 = task % segments * s.segment, pixel = task / segments;
    const int64_t o[3] = {pixel / s.out[2] / s.out[1] % s.out[0], pixel / s.out[2] % s.out[1], pixel % s.out[2]};
    const int64_t channels = s.channels - c0 < s.segment ? s.channels - c0 : s.segment;
    pool_pixel<kind>(run, pixel / s.out[2] / s.out[1] / s.out[0], o, c0, channels);
  }
}

// ---- one output row at a time ----

// The same pixels of `count` output pixels, from sums over the window's rows: sums[(i · stride + k · dilation) · C + c].
// Vectors would be mostly empty with so few channels.
template <Kind kind>
void merge_columns(const State& s, const float* sums, int64_t count, int64_t taps, float scale, float* y) {
  const int64_t step = s.stride[2] * s.channels, tap = s.dilation[2] * s.channels;
  for (int64_t i = 0; i < count; ++i, sums += step) {
    for (int64_t c = 0; c < s.channels; ++c, ++y) {
      float sum = sums[c];
      for (int64_t k = 1; k < taps; ++k) {
        const float x = sums[k * tap + c];
        if constexpr (kind == kMax) {
          sum = sum >= x || sum != sum ? sum : x;
        } else {
          sum += x;
        }
      }
      *y = sum * (kind == kAverage ? scale : 1.0f);
      if (kind == kLp && s.p == 2) *y = __builtin_sqrtf(sum);
      if (kind == kLp && s.p > 2) *y = powf(sum, 1.0f / static_cast<float>(s.p));
    }
  }
}

// Output pixels [begin, end) of a row whose windows lie inside X along the width: first the window's rows, along the
// input, then its columns.
template <Kind kind>
void pool_separately(const Run& run, const float* const* rows, int64_t row_count, float scale, int64_t begin, int64_t end,
                     float* y) {
  const State& s = *run.state;
  alignas(64) float sums[kSpanFloats];
  const int64_t reach = (s.kernel[2] - 1) * s.dilation[2] + 1, most = (kSpanFloats / s.channels - reach) / s.stride[2] + 1;
  for (int64_t ow = begin; ow < end; ow += most) {
    const int64_t count = end - ow < most ? end - ow : most;
    const int64_t from = (ow * s.stride[2] - s.pad[2]) * s.x_step, pixels = (count - 1) * s.stride[2] + reach;
    const int64_t parts = s.x_step == s.channels ? 1 : pixels; // without gaps all pixels are one row
    const float* elements[kPointers];
    Merge m;
    for (int64_t part = 0; part < parts; ++part) {
      m = {elements, 0, s.p, true, false, 1.0f, sums + part * s.channels};
      for (int64_t r = 0; r < row_count; ++r) {
        elements[m.count++] = rows[r] + from + part * s.x_step;
        if (m.count < kPointers && r + 1 < row_count) continue;
        merge_rows<kind, true>(m, pixels / parts * s.channels);
        m.count = 0;
        m.begin = false;
      }
    }
    if (s.channels < kLanes) {
      merge_columns<kind>(s, sums, count, s.kernel[2], scale, y + ow * s.channels);
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      m = {elements, 0, s.p, true, false, scale, y + (ow + i) * s.channels};
      for (int64_t k = 0; k < s.kernel[2]; ++k) {
        elements[m.count++] = sums + (i * s.stride[2] + k * s.dilation[2]) * s.channels;
        m.end = k + 1 == s.kernel[2];
        if (m.count < kPointers && !m.end) continue;
        merge_rows<kind, false>(m, s.channels);
        m.count = 0;
        m.begin = false;
      }
    }
  }
}

template <Kind kind>
void run_rows(void* context, int64_t first, int64_t last, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  // Output pixels whose windows lie inside X along the width.
  const int64_t reach = (s.kernel[2] - 1) * s.dilation[2] + 1, room = s.in[2] + s.pad[2] - reach;
  int64_t inner = (s.pad[2] + s.stride[2] - 1) / s.stride[2], outer = room < 0 ? 0 : room / s.stride[2] + 1;
  if (inner > s.out[2]) inner = s.out[2];
  if (outer > s.out[2]) outer = s.out[2];
  if (outer < inner) outer = inner;
  for (int64_t task = first; task < last; ++task) {
    const int64_t n = task / s.out[1] / s.out[0];
    int64_t o[3] = {task / s.out[1] % s.out[0], task % s.out[1], 0};
    for (o[2] = 0; o[2] < inner; ++o[2]) pool_pixel<kind>(run, n, o, 0, s.channels);
    for (o[2] = outer; o[2] < s.out[2]; ++o[2]) pool_pixel<kind>(run, n, o, 0, s.channels);
    if (inner == outer) continue;
    const Range d = range_of(s, 0, o[0]), h = range_of(s, 1, o[1]), w = range_of(s, 2, inner);
    const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.x_step;
    const float* rows[kPointers];
    int64_t row_count = 0;
    for (int64_t i = d.first; i < d.last; ++i) {
      for (int64_t j = h.first; j < h.last; ++j) {
        const int64_t id = o[0] * s.stride[0] - s.pad[0] + i * s.dilation[0];
        const int64_t ih = o[1] * s.stride[1] - s.pad[1] + j * s.dilation[1];
        rows[row_count++] = image + (id * s.in[1] + ih) * s.in[2] * s.x_step;
      }
    }
    float* y = run.y + task * s.out[2] * s.channels;
    const float scale = share_of(s, d, h, w);
    const int64_t taps = row_count * s.kernel[2];
    if (taps > kFewTaps || (row_count > 0 && s.channels < kLanes && s.stride[2] > 1)) {
      pool_separately<kind>(run, rows, row_count, scale, inner, outer, y);
      continue;
    }
    const float *elements[kFewTaps], *moved[kFewTaps];
    for (int64_t r = 0; r < row_count; ++r) {
      for (int64_t k = 0; k < s.kernel[2]; ++k) {
        elements[r * s.kernel[2] + k] = rows[r] + (inner * s.stride[2] - s.pad[2] + k * s.dilation[2]) * s.x_step;
      }
    }
    Merge m = {elements, static_cast<int>(taps), s.p, true, true, scale, y + inner * s.channels};
    if (s.stride[2] == 1 && s.x_step == s.channels) {  // neighbouring pixels read neighbouring windows: all channels of all pixels are one row
      merge_rows<kind, true>(m, (outer - inner) * s.channels);
      continue;
    }
    m.x = moved;
    for (int64_t ow = inner; ow < outer; ++ow, m.y += s.channels) {
      for (int64_t t = 0; t < taps; ++t) moved[t] = elements[t] + (ow - inner) * s.stride[2] * s.x_step;
      merge_rows<kind, true>(m, s.channels);
    }
  }
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  const int64_t pixels = s.batch * s.out[0] * s.out[1] * s.out[2];
  if (pixels == 0 || s.channels == 0) return GK_OK;
  Run run = {state, data_of<const float>(call->inputs[0]), data_of<float>(call->outputs[0])};
  // Taps inside X bound the work of a task, whatever the window's size.
  int64_t bytes = 4;
  for (int i = 0; i < 3; ++i) bytes *= s.kernel[i] < s.in[i] ? s.kernel[i] : s.in[i];
  bytes *= s.by_row != 0 ? s.channels * s.out[2] : s.segment;
  const int64_t grain = bytes == 0 ? 1 : (kGrainBytes + bytes - 1) / bytes;
  if (s.by_row != 0) {
    const gk_body bodies[] = {run_rows<kMax>, run_rows<kAverage>, run_rows<kLp>};
    return parallel_for(call, s.batch * s.out[0] * s.out[1], grain, bodies[s.kind], &run);
  }
  const gk_body bodies[] = {run_pixels<kMax>, run_pixels<kAverage>, run_pixels<kLp>};
  return parallel_for(call, pixels * ((s.channels + s.segment - 1) / s.segment), grain, bodies[s.kind], &run);
}

}  // namespace

int pool(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
