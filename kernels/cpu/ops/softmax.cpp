// y = exp(x − max) / Σ exp(x − max) along `axis`; log 1: y = x − max − log Σ exp(x − max).
// x, y: compact, seen as [outer, n, inner]. Bytes: x and y once; a row stays in L1 between the three passes over
// it (maximum, exponential and sum, scale). inner > 1: the lanes are neighbours along inner.
#include "cpu/call.h"
#include "cpu/lib/softmax_exp.h"

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

// `lanes` neighbouring columns of one [n, inner] slice.
void column_softmax(const float* x, float* y, int64_t n, int64_t inner, int64_t lanes, bool log) {
  VecF32 greatest = splat(-__builtin_inff());
  for (int64_t i = 0; i < n; ++i) greatest = max_lanes(load_part(x + i * inner, lanes), greatest);
  const SoftmaxExp exponential;
  VecF32 sum = {};
  for (int64_t i = 0; i < n; ++i) {
    const VecF32 e = exponential(load_part(x + i * inner, lanes) - greatest);
    sum += e;
    if (!log) store_part(y + i * inner, e, lanes);
  }
  if (log) {
    VecF32 shift = greatest;
    for (int lane = 0; lane < lanes; ++lane) shift[lane] += __builtin_logf(sum[lane]);
    for (int64_t i = 0; i < n; ++i) store_part(y + i * inner, load_part(x + i * inner, lanes) - shift, lanes);
    return;
  }
  const VecF32 factor = 1.0f / sum;
  for (int64_t i = 0; i < n; ++i) store_part(y + i * inner, load_part(y + i * inner, lanes) * factor, lanes);
}

void columns_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const int64_t n = run.state->n, inner = run.state->inner, blocks = (inner + kLanes - 1) / kLanes;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t column = task % blocks * kLanes, offset = task / blocks * n * inner + column;
    const int64_t lanes = inner - column < kLanes ? inner - column : kLanes;
    column_softmax(run.x + offset, run.y + offset, n, inner, lanes, run.state->log != 0);
  }
}

int run(const gk_call* call, const State* state) {
  if (state->outer == 0 || state->n == 0 || state->inner == 0) return GK_OK;
  Run context = {data_of<const float>(call->inputs[0]), data_of<float>(call->outputs[0]), state};
  // An exponential costs about as much as reading 16 bytes from far away.
  const int64_t bytes = state->n * 24;
  if (state->inner == 1) return parallel_for(call, state->outer, kGrainBytes / bytes + 1, rows_body, &context);
  const int64_t blocks = (state->inner + kLanes - 1) / kLanes;
  return parallel_for(call, state->outer * blocks, kGrainBytes / (bytes * kLanes) + 1, columns_body, &context);
}

}  // namespace

int softmax(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
