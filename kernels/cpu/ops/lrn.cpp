// Local response normalisation over neighbouring channels; float32, compact:
//
//   y[c] = x[c] / (bias + alpha / size · Σ_{c − ⌊(size−1)/2⌋ ≤ j ≤ c + ⌈(size−1)/2⌉} x[j]²)^beta
//
// X [N, C, …], or [N, …, C] with channels_last. Bytes moved: X and Y once: a task is a stretch of positions (C outer)
// or one position (C inner), whose channels stay in the first cache while the window slides over them.
#include "cpu/call.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/vmath.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

struct State {
  int64_t batch, channels, area, before, after;
  int32_t channels_last;
  float factor, beta, bias;
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int prepare(const gk_call* call, State* s, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  if (!is_sound(x) || !is_sound(y) || x.ndim < 2 || y.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  s->channels_last = int_attribute(call, "channels_last", 0) != 0;
  const int axis = s->channels_last != 0 ? x.ndim - 1 : 1;
  s->batch = x.shape[0];
  s->channels = x.shape[axis];
  s->area = 1;
  for (int i = 0; i < x.ndim; ++i) {
    if (x.shape[i] != y.shape[i]) return GK_INVALID_ARGUMENT;
    if (i != 0 && i != axis) s->area *= x.shape[i];
  }
  const int64_t size = int_attribute(call, "size", 0);
  if (size < 1 || size >= kDimLimit) return GK_INVALID_ARGUMENT;
  s->before = (size - 1) / 2;
  s->after = size / 2;
  s->factor = static_cast<float>(float_attribute(call, "alpha", 1e-4) / static_cast<double>(size));
  s->beta = static_cast<float>(float_attribute(call, "beta", 0.75));
  s->bias = static_cast<float>(float_attribute(call, "bias", 1.0));
  return GK_OK;
}

struct Run {
  const State* state;
  const float* x;
  float* y;
};

// base^-beta; the usual 0.75 by square roots.
inline __attribute__((always_inline)) VecF32 shrink(VecF32 base, float beta) {
  if (beta == 0.5f) return 1.0f / vmath::sqrt(base);
  if (beta != 0.75f) return vmath::pow(base, splat(-beta));
  const VecF32 root = vmath::sqrt(base);
  return 1.0f / (root * vmath::sqrt(root));
}

inline VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

// A vector of positions, all channels; x[c · step].
void run_positions(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t vectors = divide_up(s.area, kLanes);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / vectors, first = task % vectors * kLanes, left = s.area - first;
    const float* x = run.x + n * s.channels * s.area + first;
    float* y = run.y + n * s.channels * s.area + first;
    for (int64_t c = 0; c < s.channels; ++c) {
      const int64_t from = c > s.before ? c - s.before : 0;
      const int64_t to = s.channels - c > s.after ? c + s.after : s.channels - 1;
      VecF32 sum = {};
      for (int64_t j = from; j <= to; ++j) {
        const VecF32 v = load_some(x + j * s.area, left);
        sum += v * v;
      }
      const VecF32 v = load_some(x + c * s.area, left) * shrink(s.bias + s.factor * sum, s.beta);
      if (left >= kLanes) {
        store_lanes(y + c * s.area, v);
      } else {
        store_part(y + c * s.area, v, left);
      }
    }
  }
}

// One position after the other; the window is a sum of shifted loads.
void run_pixels(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  for (int64_t pixel = begin; pixel < end; ++pixel) {
    const float* x = run.x + pixel * s.channels;
    float* y = run.y + pixel * s.channels;
    for (int64_t c = 0; c < s.channels; c += kLanes) {
      const int64_t left = s.channels - c;
      VecF32 sum = {};
      if (c >= s.before && c + kLanes + s.after <= s.channels) {
        for (int64_t j = c - s.before; j <= c + s.after; ++j) {
          const VecF32 v = load_lanes(x + j);
          sum += v * v;
        }
      } else {
        for (int i = 0; i < kLanes && i < left; ++i) {
          const int64_t at = c + i, from = at > s.before ? at - s.before : 0;
          const int64_t to = s.channels - at > s.after ? at + s.after : s.channels - 1;
          for (int64_t j = from; j <= to; ++j) sum[i] += x[j] * x[j];
        }
      }
      const VecF32 v = load_some(x + c, left) * shrink(s.bias + s.factor * sum, s.beta);
      if (left >= kLanes) {
        store_lanes(y + c, v);
      } else {
        store_part(y + c, v, left);
      }
    }
  }
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  if (s.batch == 0 || s.channels == 0 || s.area == 0) return GK_OK;
  Run run = {state, data_of<const float>(call->inputs[0]), data_of<float>(call->outputs[0])};
  if (s.channels_last != 0) {
    return parallel_for(call, s.batch * s.area, divide_up(kGrainBytes, 16 * s.channels), run_pixels, &run);
  }
  const int64_t grain = divide_up(kGrainBytes, 16 * kLanes * s.channels);
  return parallel_for(call, s.batch * divide_up(s.area, kLanes), grain, run_positions, &run);
}

}  // namespace

int lrn(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
