// y = exp(x − max) / Σ exp(x − max) along `axis`; log 1: y = x − max − log Σ exp(x − max).
// x, y: compact, seen as [outer, n, inner]. Bytes: x and y once; a row stays in L1 between the three passes over
// it (maximum, exponential and sum, scale). inner > 1: the lanes are neighbours along inner. Short rows: the lanes are
// rows, transposed in registers.
#include "cpu/call.h"
#include "cpu/lib/math/softmax_exp.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

struct State {
  int64_t outer, n, inner;
  int32_t log;
};

int prepare(const gk_call* call, State* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  if (x.ndim < 1 || !is_compact(x) || !is_compact(y) || element_count(x) != element_count(y)) {
    return GK_INVALID_ARGUMENT;
  }
  int64_t axis = int_attribute(call, "axis", -1);
  if (axis < 0) axis += x.ndim;
  if (axis < 0 || axis >= x.ndim) return GK_INVALID_ARGUMENT;
  state->log = int_attribute(call, "log", 0) != 0;
  state->outer = state->inner = 1;
  state->n = x.shape[axis];
  for (int i = 0; i < x.ndim; ++i) {
    if (i < axis) state->outer *= x.shape[i];
    if (i > axis) state->inner *= x.shape[i];
  }
  return GK_OK;
}

struct Run {
  const float* x;
  float* y;
  const State* state;
};

// A maximum of −∞ (nothing but −∞) stays: −∞ − −∞ is NaN, as in ONNX. NaN anywhere makes the sum NaN.
void row_softmax(const float* x, float* y, int64_t n, bool log) {
  VecF32 greatest[2] = {splat(-__builtin_inff()), splat(-__builtin_inff())};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    greatest[0] = max_lanes(load_lanes(x + i), greatest[0]);
    greatest[1] = max_lanes(load_lanes(x + i + kLanes), greatest[1]);
  }
  for (; i < n; i += kLanes) {
    const int64_t left = n - i;
    const VecF32 v = left >= kLanes ? load_lanes(x + i) : keep_lanes(load_part(x + i, left), left, -__builtin_inff());
    greatest[0] = max_lanes(v, greatest[0]);
  }
  const float maximum = greatest_lane(max_lanes(greatest[0], greatest[1]));
  const SoftmaxExp exponential;
  VecF32 sums[2] = {};
  for (i = 0; i + 2 * kLanes <= n; i += 2 * kLanes) {
    __builtin_prefetch(x + n + i);  // the next row, on its way while this one is computed
    if constexpr (2 * kVectorBytes > 64) __builtin_prefetch(x + n + i + kLanes);
    const VecF32 a = exponential(load_lanes(x + i) - maximum);
    const VecF32 b = exponential(load_lanes(x + i + kLanes) - maximum);
    sums[0] += a;
    sums[1] += b;
    if (log) continue;
    store_lanes(y + i, a);
    store_lanes(y + i + kLanes, b);
  }
  for (; i < n; i += kLanes) {
    const int64_t left = n - i < kLanes ? n - i : kLanes;
    const VecF32 e = keep_lanes(exponential(load_part(x + i, left) - maximum), left, 0.0f);
    sums[0] += e;
    if (!log) store_part(y + i, e, left);
  }
  const float sum = sum_lanes(sums[0] + sums[1]);
  const float factor = 1.0f / sum, shift = maximum + (log ? __builtin_logf(sum) : 0.0f);
  for (i = 0; i + kLanes <= n; i += kLanes) {
    store_lanes(y + i, log ? load_lanes(x + i) - shift : load_lanes(y + i) * factor);
  }
  if (i < n) store_part(y + i, log ? load_part(x + i, n - i) - shift : load_part(y + i, n - i) * factor, n - i);
}

void rows_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const int64_t n = run.state->n;
  for (int64_t r = begin; r < end; ++r) row_softmax(run.x + r * n, run.y + r * n, n, run.state->log != 0);
}

// kVectors vectors of neighbouring columns (the first `lanes` of them where that is one vector) whose elements lie
// `step` apart. In between they are kept at `work`, which may be x or y: columns whose distance is a power of two push each
// other out of the cache, so what fits is kept elsewhere.
template <int kVectors>
inline __attribute__((always_inline)) void softmax_of_columns(const float* x, float* work, int64_t work_step, float* y,
                                                              int64_t step, int64_t n, int64_t lanes, bool log) {
  const auto load = [&](const float* from, int v) __attribute__((always_inline)) {
    return kVectors > 1 || lanes == kLanes ? load_lanes(from + v * kLanes) : load_part(from, lanes);
  };
  const auto store = [&](float* to, int v, VecF32 value) __attribute__((always_inline)) {
    if (kVectors > 1 || lanes == kLanes) {
      store_lanes(to + v * kLanes, value);
    } else {
      store_part(to, value, lanes);
    }
  };
  VecF32 greatest[kVectors], sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    greatest[v] = splat(-__builtin_inff());
    sum[v] = VecF32{};
  }
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const VecF32 x_i = load(x + i * step, v);
      greatest[v] = max_lanes(x_i, greatest[v]);
      if (work != x) store(work + i * work_step, v, x_i);
    }
  }
  const SoftmaxExp exponential;
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const VecF32 e = exponential(load(work + i * work_step, v) - greatest[v]);
      sum[v] += e;
      if (!log) store(work + i * work_step, v, e);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) sum[v] = log ? greatest[v] + vmath::log(sum[v]) : 1.0f / sum[v];
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const VecF32 kept = load(work + i * work_step, v);
      store(y + i * step, v, log ? kept - sum[v] : kept * sum[v]);
    }
  }
}

constexpr int64_t kStagedFloats = 4096;

// Columns [begin, end) of one [n, inner] slice.
void column_softmax(const float* x, float* y, int64_t n, int64_t inner, int64_t begin, int64_t end, bool log) {
  alignas(64) float staged[kStagedFloats];
  for (; end - begin >= 4 * kLanes && n * 4 * kLanes <= kStagedFloats; begin += 4 * kLanes) {
    softmax_of_columns<4>(x + begin, staged, 4 * kLanes, y + begin, inner, n, kLanes, log);
  }
  for (; begin < end; begin += kLanes) {
    const bool fits = n * kLanes <= kStagedFloats;
    softmax_of_columns<1>(x + begin, fits ? staged : y + begin, fits ? kLanes : inner, y + begin, inner, n,
                          end - begin < kLanes ? end - begin : kLanes, log);
  }
}

constexpr int64_t kStrip = 4 * kLanes;  // columns of a task

void columns_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const int64_t n = run.state->n, inner = run.state->inner, strips = (inner + kStrip - 1) / kStrip;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t column = task % strips * kStrip, offset = task / strips * n * inner;
    const int64_t stop = inner - column < kStrip ? inner : column + kStrip;
    column_softmax(run.x + offset, run.y + offset, n, inner, column, stop, run.state->log != 0);
  }
}

constexpr int64_t kShortRow = 4 * kLanes;  // longer ones fill their vectors

// Up to kLanes rows of at most kShortRow elements.
void short_rows(const float* x, float* y, int64_t n, int count, bool log) {
  alignas(64) float columns[kShortRow * kLanes];
  int64_t k = 0;
  do {  // n is not 0
    const int64_t width = n - k < kLanes ? n - k : kLanes;
    VecF32 tile[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) tile[r] = load_part(x + (r < count ? r : 0) * n + k, width);
    transpose_lanes(tile);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store_lanes(columns + (k + i) * kLanes, tile[i]);
  } while ((k += kLanes) < n);
  softmax_of_columns<1>(columns, columns, kLanes, columns, kLanes, n, kLanes, log);
  for (k = 0; k < n; k += kLanes) {
    const int64_t width = n - k < kLanes ? n - k : kLanes;
    VecF32 tile[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) tile[i] = load_lanes(columns + (k + i) * kLanes);
    transpose_lanes(tile);
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      if (r < count) store_part(y + r * n + k, tile[r], width);
    }
  }
}

void short_rows_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const int64_t n = run.state->n;
  for (int64_t r = begin; r < end; r += kLanes) {
    const int count = end - r < kLanes ? static_cast<int>(end - r) : kLanes;
    short_rows(run.x + r * n, run.y + r * n, n, count, run.state->log != 0);
  }
}

int run(const gk_call* call, const State* state) {
  if (state->outer == 0 || state->n == 0 || state->inner == 0) return GK_OK;
  Run context = {data_of<const float>(call->inputs[0]), data_of<float>(call->outputs[0]), state};
  // An exponential costs about as much as reading 16 bytes from far away.
  const int64_t bytes = state->n * 24;
  if (state->inner == 1) {
    const bool short_ones = state->n <= kShortRow && state->outer >= kLanes / 2;
    const gk_body body = short_ones ? short_rows_body : rows_body;
    return parallel_for(call, state->outer, kGrainBytes / bytes + 1, body, &context);
  }
  const int64_t strips = (state->inner + kStrip - 1) / kStrip, width = state->inner < kStrip ? state->inner : kStrip;
  return parallel_for(call, state->outer * strips, kGrainBytes / (bytes * width) + 1, columns_body, &context);
}

}  // namespace

int softmax(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
