// Group normalisation; instance normalisation is groups of one channel. float32, compact, statistics over a group's
// channels and all positions of one image:
//
//   y = epilogue((x − mean) · scale[c] / sqrt(variance + epsilon) + bias[c])
//
// X [N, C, spatial…]: a task is one group, three passes over contiguous memory. X [N, spatial…, C]: blocks of pixels that
// stay in the first cache give mean and squared deviations of every group, blocks are merged by Chan's formula, a
// second region writes Y. Either way the squares are of deviations from a mean nearby, so a large mean costs no
// digits, and the order of sums is the same for any number of threads. Bytes moved: X twice (three times where a
// group exceeds the cache), Y once.
#include <math.h>

#include "cpu/call.h"
#include "cpu/lib/epilogue.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int64_t kBlockFloats = 8 * 1024;  // of X that stay in the first cache
constexpr int64_t kRunFloats = 4 * 1024;    // floats summed in single precision

struct State {
  int64_t batch, channels, groups, area, block, blocks;  // block: pixels
  int32_t channels_last;
  float epsilon;
  Epilogue epilogue;
};

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  if (call->input_count < 3 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr ||
      (call->attribute_count > 0 && call->attributes == nullptr)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y)) return GK_UNSUPPORTED;
  if (!is_sound(x) || !is_sound(y) || x.ndim < 2 || y.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < x.ndim; ++i) {
    if (x.shape[i] != y.shape[i]) return GK_INVALID_ARGUMENT;
  }
  s->channels_last = int_attribute(call, "channels_last", 0) != 0;
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
    // Mean and squares of every block and group; mean and factor of every channel; sums of one block per worker.
    const int64_t floats = s->batch * s->blocks * s->groups * 2 + s->batch * s->channels * 2;
    if (s->area > 0) prepared->workspace_bytes = static_cast<uint64_t>(floats) * 4;
    return prepare_epilogue(call, s->batch, s->area, s->channels, &s->epilogue);
  }
  return prepare_epilogue(call, s->batch, s->channels, s->area, &s->epilogue);
}

struct Run {
  const gk_call* call;
  const State* state;
  const float *x, *scale, *bias;
  float *y, *stats, *channels;  // stats [N, blocks, groups, 2], channels [N, 2, C]
};

void apply_rows(const Run& run, float* y, int64_t n, int64_t row, int64_t rows, int64_t cols) {
  const Epilogue& epilogue = run.state->epilogue;
  if (!has_epilogue(epilogue) || !epilogue_is_tiled(epilogue)) return;
  apply_epilogue(epilogue, run.call, y, cols, n, row, rows, 0, cols);
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
    const VecF32 from = splat(mean);
    for (int64_t c = 0; c < per_group; ++c, x += s.area, y += s.area) {
      const float scale = run.scale[c0 + c] * factor, bias = run.bias[c0 + c];
      int64_t i = 0;
      for (; i + kLanes <= s.area; i += kLanes) store_lanes(y + i, (load_lanes(x + i) - from) * scale + bias);
      for (; i < s.area; ++i) y[i] = (x[i] - mean) * scale + bias;
      apply_rows(run, y, n, c0 + c, 1, s.area);
    }
  }
}

inline VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

// Sums over `pixels` rows of channels [c, c + kLanes): of x − mean, or of its square.
template <bool Squares>
VecF32 sum_pixels(const float* x, int64_t pixels, int64_t step, int64_t left, VecF32 mean) {
  VecF32 sum[4] = {};
  int64_t p = 0;
  if (left >= kLanes) {
    for (; p + 4 <= pixels; p += 4) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const VecF32 d = load_lanes(x + (p + v) * step) - mean;
        sum[v] += Squares ? d * d : d;
      }
    }
  }
  for (; p < pixels; ++p) {
    const VecF32 d = load_some(x + p * step, left) - mean;
    sum[0] += Squares ? d * d : d;
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Mean and squared deviations of each group in blocks of pixels. Channels are taken in chunks whose sums lie on the
// stack; a group that several chunks share adds up.
void run_block_stats(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t per_group = s.channels / s.groups;
  constexpr int64_t kChunk = 256;
  float sums[kChunk + kLanes];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / s.blocks, first = task % s.blocks * s.block, pixels = least(s.block, s.area - first);
    const float* x = run.x + (n * s.area + first) * s.channels;
    float* stats = run.stats + task * s.groups * 2;
    for (int64_t g = 0; g < 2 * s.groups; ++g) stats[g] = 0.0f;
    const float share = 1.0f / static_cast<float>(per_group * pixels);
    for (int squares = 0; squares < 2; ++squares) {
      for (int64_t c0 = 0; c0 < s.channels; c0 += kChunk) {
        const int64_t channels = least(kChunk, s.channels - c0);
        for (int64_t c = 0; c < channels; c += kLanes) {
          const int64_t left = channels - c;
          if (squares == 0) {
            store_lanes(sums + c, sum_pixels<false>(x + c0 + c, pixels, s.channels, left, VecF32{}));
            continue;
          }
          VecF32 mean = {};
          for (int i = 0; i < kLanes && i < left; ++i) mean[i] = stats[2 * ((c0 + c + i) / per_group)];
          store_lanes(sums + c, sum_pixels<true>(x + c0 + c, pixels, s.channels, left, mean));
        }
        for (int64_t c = 0; c < channels; ++c) stats[2 * ((c0 + c) / per_group) + squares] += sums[c];
      }
      if (squares == 0) {
        for (int64_t g = 0; g < s.groups; ++g) stats[2 * g] *= share;
      }
    }
  }
}

// Mean and factor of each channel from the blocks.
void merge_blocks(const Run& run) {
  const State& s = *run.state;
  const int64_t per_group = s.channels / s.groups;
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t g = 0; g < s.groups; ++g) {
      const float* stats = run.stats + (n * s.blocks * s.groups + g) * 2;
      double mean = 0.0, squares = 0.0;
      for (int64_t b = 0; b < s.blocks; ++b) {
        const double pixels = static_cast<double>(least(s.block, s.area - b * s.block));
        mean += static_cast<double>(stats[b * s.groups * 2]) * pixels;
      }
      mean /= static_cast<double>(s.area);
      for (int64_t b = 0; b < s.blocks; ++b) {
        const double count = static_cast<double>(least(s.block, s.area - b * s.block) * per_group);
        const double distance = static_cast<double>(stats[b * s.groups * 2]) - mean;
        squares += static_cast<double>(stats[b * s.groups * 2 + 1]) + count * distance * distance;
      }
      const double variance = squares / static_cast<double>(s.area * per_group);
      const float factor = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(s.epsilon)));
      float* channels = run.channels + n * 2 * s.channels + g * per_group;
      for (int64_t c = 0; c < per_group; ++c) {
        channels[c] = static_cast<float>(mean);
        channels[s.channels + c] = run.scale[g * per_group + c] * factor;
      }
    }
  }
}

void run_blocks(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / s.blocks, first = task % s.blocks * s.block, pixels = least(s.block, s.area - first);
    const int64_t offset = (n * s.area + first) * s.channels;
    const float* means = run.channels + n * 2 * s.channels;
    for (int64_t c = 0; c < s.channels; c += kLanes) {
      const int64_t left = s.channels - c;
      const VecF32 mean = load_some(means + c, left), factor = load_some(means + s.channels + c, left);
      const VecF32 bias = load_some(run.bias + c, left);
      const float* x = run.x + offset + c;
      float* y = run.y + offset + c;
      if (left >= kLanes) {
        for (int64_t p = 0; p < pixels; ++p, x += s.channels, y += s.channels) {
          store_lanes(y, (load_lanes(x) - mean) * factor + bias);
        }
      } else {
        for (int64_t p = 0; p < pixels; ++p, x += s.channels, y += s.channels) {
          store_part(y, (load_part(x, left) - mean) * factor + bias, left);
        }
      }
    }
    apply_rows(run, run.y + offset, n, first, pixels, s.channels);
  }
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  if (s.batch == 0 || s.channels == 0 || s.area == 0) return GK_OK;
  Run run = {call, state, data_of<const float>(call->inputs[0]), data_of<const float>(call->inputs[1]),
             data_of<const float>(call->inputs[2]), data_of<float>(call->outputs[0]), nullptr, nullptr};
  int status;
  if (s.channels_last != 0) {
    const int64_t stats = s.batch * s.blocks * s.groups * 2;
    if (call->workspace.size < static_cast<size_t>(stats + s.batch * s.channels * 2) * 4) return GK_WORKSPACE_TOO_SMALL;
    run.stats = static_cast<float*>(call->workspace.data);
    run.channels = run.stats + stats;
    const int64_t tasks = s.batch * s.blocks, grain = divide_up(kGrainBytes, s.block * s.channels * 4);
    status = parallel_for(call, tasks, grain, run_block_stats, &run);
    if (status != GK_OK) return status;
    merge_blocks(run);
    status = parallel_for(call, tasks, grain, run_blocks, &run);
  } else {
    const int64_t bytes = s.channels / s.groups * s.area * 8;
    status = parallel_for(call, s.batch * s.groups, divide_up(kGrainBytes, bytes), run_groups, &run);
  }
  return status == GK_OK && !epilogue_is_tiled(s.epilogue) ? apply_epilogue_whole(s.epilogue, call) : status;
}

}  // namespace

int group_norm(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
