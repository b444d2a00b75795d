// Group normalisation; instance normalisation is groups of one channel. float32, statistics over a group's
// channels and all positions of one image:
//
//   y = epilogue((x − mean) · scale[c] / sqrt(variance + epsilon) + bias[c])
//
// X [N, C, spatial…], compact: a task is one group, three passes over contiguous memory. X [N, spatial…, C], pixels at any distance: blocks of pixels that
// stay in the first cache give mean and squared deviations of every channel, blocks and channels are merged by
// Chan's formula, a second region writes Y. Either way the squares are of deviations from a mean nearby, so a large mean costs no
// digits, and the order of sums is the same for any number of threads. Bytes moved: X twice (three times where a
// group exceeds the cache), Y once.
#include <math.h>

#include "cpu/call.h"
#include "cpu/lib/group_norm_fold.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/vmath.h"
#include "cpu/lib/row_step.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace group_norm_fold;

namespace {

constexpr int64_t kBlockFloats = 8 * 1024;  // of X that stay in the first cache
constexpr int64_t kRunFloats = 4 * 1024;    // floats summed in single precision

struct State {
  int64_t batch, channels, groups, area, block, blocks;  // block: pixels
  int64_t x_step;                                        // floats from pixel to pixel, channels last
  int32_t channels_last;
  float epsilon;
  Folded folded;
  Epilogue epilogue;
};

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Floats of a row of statistics, one per channel.
int64_t stats_step(const State& s) { return divide_up(s.channels, kLanes) * kLanes; }

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  if (call->input_count < 3 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr ||
      (call->attribute_count > 0 && call->attributes == nullptr)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  if (!has_sound_dims(x) || !is_sound(y) || x.ndim < 2 || y.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < x.ndim; ++i) {
    if (x.shape[i] != y.shape[i]) return GK_INVALID_ARGUMENT;
  }
  s->channels_last = int_attribute(call, "channels_last", 0) != 0;
  s->x_step = row_step(x);
  if (s->channels_last != 0 ? s->x_step == 0 && x.shape[x.ndim - 1] > 0 : !is_compact(x)) return GK_UNSUPPORTED;
  s->batch = x.shape[0];
  s->channels = x.shape[s->channels_last != 0 ? x.ndim - 1 : 1];
  s->groups = int_attribute(call, "num_groups", s->channels);
  if (s->groups < 0 || (s->channels > 0 && (s->groups == 0 || s->channels % s->groups != 0))) return GK_INVALID_ARGUMENT;
  for (int i = 1; i < 3; ++i) {
    if (!is_sound_f32(call->inputs[i]) || call->inputs[i].ndim != 1 || call->inputs[i].shape[0] != s->channels) {
      return GK_INVALID_ARGUMENT;
    }
  }
  s->area = 1;
  for (int i = 1; i < x.ndim; ++i) {
    if (i != (s->channels_last != 0 ? x.ndim - 1 : 1)) s->area *= x.shape[i];
  }
  s->epsilon = static_cast<float>(float_attribute(call, "epsilon", 1e-5));
  s->block = s->channels == 0 ? 1 : kBlockFloats / s->channels;
  if (s->block < 4) s->block = 4;
  s->blocks = divide_up(s->area, s->block);
  if (s->channels_last != 0) {
    const int64_t floats = s->batch * (2 * s->blocks + 3) * stats_step(*s);
    if (s->area > 0) prepared->workspace_bytes = static_cast<uint64_t>(floats) * 4;
  }
  const bool last = s->channels_last != 0;
  const int status = last ? prepare_epilogue(call, s->batch, s->area, s->channels, &s->epilogue)
                          : prepare_epilogue(call, s->batch, s->channels, s->area, &s->epilogue);
  if (status == GK_OK) s->folded = fold(s->epilogue, last);
  return status;
}

struct Run {
  const gk_call* call;
  const State* state;
  const float *x, *scale, *bias;
  float *y, *stats, *channels;  // stats [N, blocks, 2, C padded], channels [N, 3, C padded]
};

void apply_rows(const Run& run, float* y, int64_t n, int64_t row, int64_t rows, int64_t cols) {
  const Epilogue& epilogue = run.state->epilogue;
  if (run.state->folded.folds || !epilogue_is_tiled(epilogue)) return;
  if (epilogue.operand_count == 0) {  // every element alike: one long row
    apply_epilogue(epilogue, run.call, y, rows * cols, 0, 0, 1, 0, rows * cols);
  } else {
    apply_epilogue(epilogue, run.call, y, cols, n, row, rows, 0, cols);
  }
}

// What the epilogue multiplies by or adds at image n and channel c.
float folded_number(const Run& run, int operand, int64_t n, int64_t c, float otherwise) {
  if (operand < 0) return otherwise;
  const Epilogue& epilogue = run.state->epilogue;
  const EpilogueOperand& strides = epilogue.operands[operand];
  const int64_t step = run.state->channels_last != 0 ? strides.col_stride : strides.row_stride;
  return data_of<const float>(run.call->inputs[epilogue.first_input + operand])[n * strides.outer_stride + c * step];
}

GK_INLINE VecF32 activated(VecF32 v, Activation activation, const Epilogue& epilogue) {
  if (activation == kSilu) return vmath::silu(v);
  return activation == kClamp ? vmath::clamp(v, splat(epilogue.low), splat(epilogue.high)) : v;
}

// y = activation((x − mean) · factor + bias) of contiguous floats.
template <Activation activation>
void normalise_row(const float* x, int64_t count, float mean, float factor, float bias, const Epilogue& epilogue, float* y) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store_lanes(y + i, activated((load_lanes(x + i) - mean) * factor + bias, activation, epilogue));
  }
  if (i < count) {
    const VecF32 v = (load_part(x + i, count - i) - mean) * factor + bias;
    store_part(y + i, activated(v, activation, epilogue), count - i);
  }
}

// Σ (x − shift), or Σ (x − shift)², of contiguous floats.
template <bool Squares>
double sum_of(const float* x, int64_t count, float shift) {
  double total = 0.0;
  const VecF32 from = splat(shift);
  for (int64_t begin = 0; begin < count; begin += kRunFloats) {
    const int64_t end = least(begin + kRunFloats, count);
    VecF32 sum[4] = {};
    int64_t i = begin;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const VecF32 d = load_lanes(x + i + v * kLanes) - from;
        sum[v] += Squares ? d * d : d;
      }
    }
    for (; i + kLanes <= end; i += kLanes) {
      const VecF32 d = load_lanes(x + i) - from;
      sum[0] += Squares ? d * d : d;
    }
    float rest = 0.0f;
    for (; i < end; ++i) rest += Squares ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
    total += static_cast<double>(sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest);
  }
  return total;
}

void run_groups(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t per_group = s.channels / s.groups, count = per_group * s.area;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / s.groups, c0 = task % s.groups * per_group;
    const float* x = run.x + task * count;
    float* y = run.y + task * count;
    const float mean = static_cast<float>(sum_of<false>(x, count, 0.0f) / static_cast<double>(count));
    const double variance = sum_of<true>(x, count, mean) / static_cast<double>(count);
    const float factor = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(s.epsilon)));
    for (int64_t c = c0; c < c0 + per_group; ++c, x += s.area, y += s.area) {
      const Folded& folded = s.folded;
      const float by = folded.folds ? folded_number(run, folded.factor, n, c, 1.0f) : 1.0f;
      const float plus = folded.folds ? folded_number(run, folded.shift, n, c, 0.0f) : 0.0f;
      const float scale = run.scale[c] * factor * by, bias = run.bias[c] * by + plus;
      if (folded.folds && folded.activation == kSilu) {
        normalise_row<kSilu>(x, s.area, mean, scale, bias, s.epilogue, y);
      } else if (folded.folds && folded.activation == kClamp) {
        normalise_row<kClamp>(x, s.area, mean, scale, bias, s.epilogue, y);
      } else {
        normalise_row<kNone>(x, s.area, mean, scale, bias, s.epilogue, y);
      }
      apply_rows(run, y, n, c, 1, s.area);
    }
  }
}

// ---- channels last ----

inline VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

// Mean and Σ (x − mean)² of V vectors of channels over the pixels of a block; the last vector has `left` lanes.
template <int V>
void block_stats(const float* x, int64_t pixels, int64_t step, int64_t left, float* means, float* squares) {
  constexpr int U = V >= 4 ? 1 : 4 / V;  // pixels at once, so that enough sums are in flight
  const auto load = [&](int64_t p, int v) {
    const float* at = x + p * step + v * kLanes;
    return v + 1 < V ? load_lanes(at) : load_some(at, left);
  };
  VecF32 sum[U][V] = {}, mean[V];
  int64_t p = 0;
  for (; p + U <= pixels; p += U) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[u][v] += load(p + u, v);
    }
  }
  for (; p < pixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[0][v] += load(p, v);
  }
  const float share = 1.0f / static_cast<float>(pixels);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 4
    for (int u = 1; u < U; ++u) sum[0][v] += sum[u][v];
    mean[v] = sum[0][v] * share;
    store_lanes(means + v * kLanes, mean[v]);
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) sum[u][v] = VecF32{};
  }
  for (p = 0; p + U <= pixels; p += U) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const VecF32 d = load(p + u, v) - mean[v];
        sum[u][v] += d * d;
      }
    }
  }
  for (; p < pixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const VecF32 d = load(p, v) - mean[v];
      sum[0][v] += d * d;
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 4
    for (int u = 1; u < U; ++u) sum[0][v] += sum[u][v];
    store_lanes(squares + v * kLanes, sum[0][v]);
  }
}

void run_block_stats(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t step = stats_step(s);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / s.blocks, first = task % s.blocks * s.block, pixels = least(s.block, s.area - first);
    const float* x = run.x + (n * s.area + first) * s.x_step;
    float* means = run.stats + task * 2 * step;
    for (int64_t c = 0; c < s.channels;) {
      const int64_t left = s.channels - c, vectors = divide_up(left, kLanes);
      float *to = means + c, *squares = means + step + c;
      if (vectors >= 4) {
        block_stats<4>(x + c, pixels, s.x_step, left - 3 * kLanes, to, squares);
        c += 4 * kLanes;
      } else if (vectors >= 2) {
        block_stats<2>(x + c, pixels, s.x_step, left - kLanes, to, squares);
        c += 2 * kLanes;
      } else {
        block_stats<1>(x + c, pixels, s.x_step, left, to, squares);
        c += kLanes;
      }
    }
  }
}

// Mean, factor and bias of each channel from the blocks: first every channel's, then every group's.
void merge_blocks(const Run& run) {
  const State& s = *run.state;
  const int64_t per_group = s.channels / s.groups, step = stats_step(s);
  const double area = static_cast<double>(s.area);
  for (int64_t n = 0; n < s.batch; ++n) {
    float *stats = run.stats + n * s.blocks * 2 * step, *channels = run.channels + n * 3 * step;
    for (int64_t c = 0; c < step; c += kLanes) {
      VecF32 mean = {}, squares = {};
      for (int64_t b = 0; b < s.blocks; ++b) {
        const float share = static_cast<float>(static_cast<double>(least(s.block, s.area - b * s.block)) / area);
        mean += load_lanes(stats + b * 2 * step + c) * share;
      }
      for (int64_t b = 0; b < s.blocks; ++b) {
        const VecF32 distance = load_lanes(stats + b * 2 * step + c) - mean;
        const float pixels = static_cast<float>(least(s.block, s.area - b * s.block));
        squares += load_lanes(stats + (b * 2 + 1) * step + c) + distance * distance * pixels;
      }
      store_lanes(channels + c, mean);
      store_lanes(channels + step + c, squares);
    }
    for (int64_t first = 0; first < s.channels; first += per_group) {
      double mean = 0.0, squares = 0.0;
      for (int64_t c = first; c < first + per_group; ++c) mean += static_cast<double>(channels[c]);
      mean /= static_cast<double>(per_group);
      for (int64_t c = first; c < first + per_group; ++c) {
        const double distance = static_cast<double>(channels[c]) - mean;
        squares += static_cast<double>(channels[step + c]) + area * distance * distance;
      }
      const double variance = squares / (area * static_cast<double>(per_group));
      const float factor = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(s.epsilon)));
      for (int64_t c = first; c < first + per_group; ++c) {
        const Folded& folded = s.folded;
        const float by = folded.folds ? folded_number(run, folded.factor, n, c, 1.0f) : 1.0f;
        const float plus = folded.folds ? folded_number(run, folded.shift, n, c, 0.0f) : 0.0f;
        channels[c] = static_cast<float>(mean);
        channels[step + c] = run.scale[c] * factor * by;
        channels[2 * step + c] = run.bias[c] * by + plus;
      }
    }
  }
}

// V vectors of channels of a block; the last vector has `left` lanes.
template <int V, Activation activation>
void normalise(const float* x, int64_t x_step, int64_t pixels, int64_t y_step, int64_t left, const float* means,
               int64_t row, const Epilogue& epilogue, float* y) {
  VecF32 mean[V], factor[V], bias[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    mean[v] = load_lanes(means + v * kLanes);
    factor[v] = load_lanes(means + row + v * kLanes);
    bias[v] = load_lanes(means + 2 * row + v * kLanes);
  }
  for (int64_t p = 0; p < pixels; ++p, x += x_step, y += y_step) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      if (v + 1 < V || left >= kLanes) {
        const VecF32 z = (load_lanes(x + v * kLanes) - mean[v]) * factor[v] + bias[v];
        store_lanes(y + v * kLanes, activated(z, activation, epilogue));
      } else {
        const VecF32 z = (load_part(x + v * kLanes, left) - mean[v]) * factor[v] + bias[v];
        store_part(y + v * kLanes, activated(z, activation, epilogue), left);
      }
    }
  }
}

template <Activation activation>
void run_blocks(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t step = stats_step(s);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / s.blocks, first = task % s.blocks * s.block, pixels = least(s.block, s.area - first);
    const int64_t pixel = n * s.area + first;
    const float* means = run.channels + n * 3 * step;
    for (int64_t c = 0; c < s.channels;) {
      const int64_t left = s.channels - c, vectors = divide_up(left, kLanes);
      const float* x = run.x + pixel * s.x_step + c;
      float* y = run.y + pixel * s.channels + c;
      if (vectors >= 4) {
        normalise<4, activation>(x, s.x_step, pixels, s.channels, left - 3 * kLanes, means + c, step, s.epilogue, y);
        c += 4 * kLanes;
      } else if (vectors >= 2) {
        normalise<2, activation>(x, s.x_step, pixels, s.channels, left - kLanes, means + c, step, s.epilogue, y);
        c += 2 * kLanes;
      } else {
        normalise<1, activation>(x, s.x_step, pixels, s.channels, left, means + c, step, s.epilogue, y);
        c += kLanes;
      }
    }
    apply_rows(run, run.y + pixel * s.channels, n, first, pixels, s.channels);
  }
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  if (s.batch == 0 || s.channels == 0 || s.area == 0) return GK_OK;
  Run run = {call, state, data_of<const float>(call->inputs[0]), data_of<const float>(call->inputs[1]),
             data_of<const float>(call->inputs[2]), data_of<float>(call->outputs[0]), nullptr, nullptr};
  int status;
  if (s.channels_last != 0) {
    const int64_t stats = s.batch * s.blocks * 2 * stats_step(s);
    if (call->workspace.size < static_cast<size_t>(stats + s.batch * 3 * stats_step(s)) * 4) return GK_WORKSPACE_TOO_SMALL;
    run.stats = static_cast<float*>(call->workspace.data);
    run.channels = run.stats + stats;
    const int64_t tasks = s.batch * s.blocks, grain = divide_up(kGrainBytes, s.block * s.channels * 4);
    status = parallel_for(call, tasks, grain, run_block_stats, &run);
    if (status != GK_OK) return status;
    merge_blocks(run);
    const gk_body bodies[] = {run_blocks<kNone>, run_blocks<kClamp>, run_blocks<kSilu>};
    status = parallel_for(call, tasks, grain, bodies[s.folded.folds ? s.folded.activation : kNone], &run);
  } else {
    const int64_t bytes = s.channels / s.groups * s.area * 8;
    status = parallel_for(call, s.batch * s.groups, divide_up(kGrainBytes, bytes), run_groups, &run);
  }
  const bool whole = !s.folded.folds && !epilogue_is_tiled(s.epilogue);
  return status == GK_OK && whole ? apply_epilogue_whole(s.epilogue, call) : status;
}

}  // namespace

int group_norm(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
