// Transposed convolution over X [N, spatial…, C], W [C, M/group, kernel…], Y [N, spatial…, M]; float32, compact.
//
//   y[n, o, m] = epilogue(bias[m] + Σ x[n, i, c] · w[c, m, k]   over all c of the group, k and i with
//                                                              i · stride + k · dilation − pad = o)
//
// Output positions with the same remainder of (o + pad) by the stride meet the same taps k: a phase. Each phase is a
// dense convolution of X with stride one over its taps, so every multiplication counts and every result is
// written once: an indirect matrix product whose rows are neighbouring outputs of the phase. Weights are packed
// phase by phase. Where filters are few, all taps together are the columns of one product instead, whose rows are
// patches of Y (conv_transpose_patches.cpp). Where every channel is a group of its own there is nothing to multiply by
// matrices: a vector of channels walks over the taps.
// Bytes moved: Y once, X once per chunk of columns, the packed weights once per thread.
#include "cpu/lib/conv/conv_activation.h"
#include "cpu/lib/conv/conv_transpose_phase.h"
#include "cpu/lib/gemm/gemm_f32.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace transpose;

namespace {

constexpr int64_t kPointers = 1024;         // row pointers of a block
constexpr int64_t kPanelFloats = 96 * 1024; // weights of a phase that pass over many rows of outputs: from the second cache

using State = TransposeState;

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  const int status = read_shape(call, s);
  if (status != GK_OK) return status;
  const int64_t pixels = s->out[0] * s->out[1] * s->out[2];
  s->taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
  const int64_t filters = s->filters / s->group, depth = s->channels / s->group;
  s->by_channel = depth == 1 && filters == 1;
  s->patches = patches_of(*s);
  const int64_t padded_channels = divide_up(s->channels, kLanes) * kLanes;
  const int64_t weights = s->by_channel != 0 ? s->taps * padded_channels
                          : s->patches != kNoPatches ? gemm_packed_floats(depth, s->taps * filters)
                                             : s->group * gemm_packed_floats(s->taps * depth, filters);
  s->packed_floats = weights;
  int64_t chunk = kPanelFloats / (s->taps * depth + 1) / kGemmCols * kGemmCols;
  if (chunk < kGemmCols) chunk = kGemmCols;
  s->columns = least(chunk, filters);
  // The weights and a row of zeros that padding reads.
  const uint64_t bytes = static_cast<uint64_t>(weights + padded_channels) * 4;
  prepared->packed_format = s->patches != kNoPatches;
  if (is_constant(call, 1)) {
    prepared->packed_bytes = bytes;
  } else if (s->batch * pixels * s->filters != 0) {
    prepared->workspace_bytes = bytes;
  }
  return GK_OK;
}

void pack_weights(const State& s, const float* w, float* packed) {
  const int64_t filters = s.filters / s.group, depth = s.channels / s.group;
  const int64_t padded = divide_up(s.channels, kLanes) * kLanes;
  if (s.by_channel != 0) {
    for (int64_t t = 0; t < s.taps; ++t) {
      for (int64_t c = 0; c < padded; ++c) packed[t * padded + c] = c < s.channels ? w[c * s.taps + t] : 0.0f;
    }
  } else if (s.patches != kNoPatches) {
    // Column tap · M + m of the product.
    const int64_t columns = s.taps * filters;
    for (int64_t j = 0; j < columns; j += kGemmCols) {
      const int64_t width = columns - j <= kGemmLanes ? kGemmLanes : kGemmCols;
      float* panel = packed + gemm_panel_offset(depth, j);
      for (int64_t c = 0; c < depth; ++c) {
        for (int64_t i = 0; i < width; ++i) {
          const int64_t column = j + i, source = (c * filters + column % filters) * s.taps + column / filters;
          panel[c * width + i] = column < columns ? w[source] : 0.0f;
        }
      }
    }
  } else {
    const int64_t per_tap = gemm_packed_floats(depth, filters);
    for (int64_t tap = 0; tap < s.taps; ++tap) {
      const int64_t k[3] = {tap / s.kernel[2] / s.kernel[1], tap / s.kernel[2] % s.kernel[1], tap % s.kernel[2]};
      AxisPhase p[3];
      int64_t index = 0;  // of the tap in its phase
      for (int a = 0; a < 3; ++a) {
        p[a] = axis_phase(s, a, k[a] * s.dilation[a] % s.stride[a]);
        index = index * p[a].count + taps_before(s, a, p[a].phase, k[a]) - p[a].before;
      }
      const int64_t count = p[0].count * p[1].count * p[2].count, before = phase_offset(s, p);
      for (int64_t g = 0; g < s.group; ++g) {
        gemm_pack_b(w + g * depth * filters * s.taps + tap, filters * s.taps, s.taps, depth, filters, index * depth,
                    count * depth, packed + (g * s.taps + before) * per_tap);
      }
    }
  }
  for (int64_t i = 0; i < padded; ++i) packed[s.packed_floats + i] = 0.0f;
}

// Outputs ow0, ow0 + stride, … of row (n, od, oh): columns [col, col + cols) of group g.
void run_phase_row(const TransposeRun& run, const AxisPhase* p, int64_t n, int64_t od, int64_t oh, int64_t ow0, int64_t g,
                   int64_t col, int64_t cols) {
  const State& s = *run.state;
  const int64_t filters = s.filters / s.group, depth = s.channels / s.group;
  const int64_t taps = p[0].count * p[1].count * p[2].count;
  const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.channels + g * depth;
  const float* b = run.weights + (g * s.taps + phase_offset(s, p)) * gemm_packed_floats(depth, filters);
  const int64_t pixels = divide_up(s.out[2] - ow0, s.stride[2]);
  int64_t most = kPointers / (taps > 0 ? taps : 1);
  most = most < 8 ? 8 : least(most, gemm_block_rows(run.call, taps * depth, cols));
  const int64_t taps_at_once = kPointers / 8;
  for (int64_t first = 0; first < pixels; first += most) {
    const int64_t rows = least(most, pixels - first);
    const int64_t pixel = (od * s.out[1] + oh) * s.out[2] + ow0 + first * s.stride[2];
    float* y = run.y + (n * s.out[0] * s.out[1] * s.out[2] + pixel) * s.filters;
    const float* pointers[kPointers];
    GemmBlock block;
    block.rows = pointers;
    block.tap_step = rows;
    block.k = depth;
    block.m = rows;
    block.n = cols;
    block.c = y + g * filters + col;
    block.ldc = s.stride[2] * s.filters;
    block.col0 = g * filters + col;
    block.finish.call = run.call;
    block.finish.bias = run.bias;
    block.finish.outer = pixel;
    block.taps = 0;
    int64_t done = 0;
    if (taps == 0) {
      if (run.tiled) block.finish.epilogue = &run.epilogue;
      gemm_block(block);
    }
    for (int64_t kd = p[0].first; p[0].count > 0 && kd < s.kernel[0]; kd = next_tap(s, 0, kd)) {
      for (int64_t kh = p[1].first; p[1].count > 0 && kh < s.kernel[1]; kh = next_tap(s, 1, kh)) {
        const int64_t id = input_of(s, 0, od, kd), ih = input_of(s, 1, oh, kh);
        const bool inside = id >= 0 && id < s.in[0] && ih >= 0 && ih < s.in[1];
        for (int64_t kw = p[2].first; p[2].count > 0 && kw < s.kernel[2]; kw = next_tap(s, 2, kw)) {
          for (int64_t i = 0; i < rows; ++i) {
            const int64_t iw = input_of(s, 2, ow0 + (first + i) * s.stride[2], kw);
            pointers[block.taps * rows + i] =
                inside && iw >= 0 && iw < s.in[2] ? image + ((id * s.in[1] + ih) * s.in[2] + iw) * s.channels : run.zeros;
          }
          ++block.taps;
          ++done;
          if (done < taps && block.taps < taps_at_once) continue;
          // A kernel of more taps than there are pointers for adds up in Y. Its panels are those of all taps.
          GemmBlock part = block;
          if (done > block.taps) {
            part.finish.bias = nullptr;
            part.finish.addend = y;
            part.finish.addend_rows = block.ldc;
          }
          if (done == taps && run.tiled) part.finish.epilogue = &run.epilogue;
          const int64_t skipped = (done - block.taps) * depth;
          if (taps <= taps_at_once) {
            part.b = b + gemm_panel_offset(taps * depth, col);
            gemm_block(part);
          } else {
            for (int64_t j = 0; j < cols; j += kGemmCols) {
              part.n = least(kGemmCols, cols - j);
              part.c = block.c + j;
              part.col0 = block.col0 + j;
              const int64_t width = filters - col - j <= kGemmLanes ? kGemmLanes : kGemmCols;
              part.b = b + gemm_panel_offset(taps * depth, col + j) + skipped * width;
              gemm_block(part);
            }
          }
          block.taps = 0;
        }
      }
    }
  }
}

// A task is one phase of one row of outputs, a group and a chunk of its columns; tasks that share weights are
// neighbours.
void run_tasks(void* context, int64_t first, int64_t last, int32_t) {
  const TransposeRun& run = *static_cast<const TransposeRun*>(context);
  const State& s = *run.state;
  const int64_t filters = s.filters / s.group, chunks = divide_up(filters, s.columns);
  const int64_t phases = least(s.stride[2], s.out[2]), rows = s.batch * s.out[0];
  for (int64_t task = first; task < last; ++task) {
    const int64_t h = task % s.out[1], ow0 = task / s.out[1] % phases, row = task / s.out[1] / phases % rows;
    const int64_t chunk = task / s.out[1] / phases / rows % chunks, g = task / s.out[1] / phases / rows / chunks;
    // Rows of one phase follow each other.
    const int64_t row_phases = least(s.stride[1], s.out[1]);
    int64_t oh = h, phase = 0;
    for (int64_t in_phase; oh >= (in_phase = divide_up(s.out[1] - phase, row_phases)); ++phase) oh -= in_phase;
    oh = phase + oh * row_phases;
    const int64_t o[3] = {row % s.out[0], oh, ow0};
    AxisPhase p[3];
    for (int a = 0; a < 3; ++a) p[a] = axis_phase(s, a, remainder_of(o[a] + s.pad[a], s.stride[a]));
    const int64_t col = chunk * s.columns;
    run_phase_row(run, p, row / s.out[0], o[0], oh, ow0, g, col, least(s.columns, filters - col));
  }
}

constexpr int kTapsAtOnce = 64;

// What one output pixel reads: the taps that meet an input, and their weights.
struct ChannelTaps {
  const float* x[kTapsAtOnce];
  const float* weights[kTapsAtOnce];
  int count;
  bool begin, end;  // the first and the last of the pixel
};

void add_channels(const TransposeRun& run, const ChannelTaps& taps, const Activation& activation, float* y) {
  const int64_t channels = run.state->channels;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t lanes = least(channels - c, kLanes);
    VecF32 sum[1] = {};
    if (!taps.begin || run.bias != nullptr) sum[0] = load_part((taps.begin ? run.bias : y) + c, lanes);
    if (lanes == kLanes) {
      for (int t = 0; t < taps.count; ++t) sum[0] += load_lanes(taps.x[t] + c) * load_lanes(taps.weights[t] + c);
    } else {
      for (int t = 0; t < taps.count; ++t) sum[0] += load_part(taps.x[t] + c, lanes) * load_lanes(taps.weights[t] + c);
    }
    if (taps.end) activate<1>(activation, sum);
    store_part(y + c, sum[0], lanes);
  }
}

// The taps of an axis that meet output o: `count` of them, tap `first` at input `at`, each next one `step` taps and
// `back` inputs further.
struct MetTaps {
  int64_t first, at, step, back, count;
};

int64_t common_divisor(int64_t a, int64_t b) { return b == 0 ? a : common_divisor(b, a % b); }

// Without the output: first is -1 where no tap has its phase.
MetTaps taps_of_phase(const State& s, int axis, int64_t phase) {
  const int64_t divisor = common_divisor(s.stride[axis], s.dilation[axis]);
  return {axis_phase(s, axis, phase).first, 0, s.stride[axis] / divisor, s.dilation[axis] / divisor, 0};
}

// For output o, those that meet an input.
MetTaps taps_at(const State& s, int axis, int64_t o, MetTaps taps) {
  if (taps.first < 0) return taps;
  taps.at = (o + s.pad[axis] - taps.first * s.dilation[axis]) / s.stride[axis];
  const int64_t beyond = taps.at - (s.in[axis] - 1), skipped = beyond > 0 ? divide_up(beyond, taps.back) : 0;
  taps.first += skipped * taps.step;
  taps.at -= skipped * taps.back;
  if (taps.at < 0 || taps.first >= s.kernel[axis]) return taps;
  taps.count = least(taps.at / taps.back, (s.kernel[axis] - 1 - taps.first) / taps.step) + 1;
  return taps;
}

// Groups of one channel: a task is one line of outputs.
void run_by_channel(void* context, int64_t begin, int64_t end, int32_t) {
  const TransposeRun& run = *static_cast<const TransposeRun*>(context);
  const State& s = *run.state;
  const int64_t padded = divide_up(s.channels, kLanes) * kLanes;
  Activation activation;
  const bool program = !read_activation(s.epilogue, &activation) && run.tiled;
  ChannelTaps taps;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t oh = task % s.out[1], od = task / s.out[1] % s.out[0], n = task / s.out[1] / s.out[0];
    const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.channels;
    float* line = run.y + task * s.out[2] * s.channels;
    const MetTaps deep = taps_at(s, 0, od, taps_of_phase(s, 0, remainder_of(od + s.pad[0], s.stride[0])));
    const MetTaps high = taps_at(s, 1, oh, taps_of_phase(s, 1, remainder_of(oh + s.pad[1], s.stride[1])));
    for (int64_t phase = 0; phase < s.stride[2] && phase < s.out[2]; ++phase) {
      const MetTaps of_phase = taps_of_phase(s, 2, remainder_of(phase + s.pad[2], s.stride[2]));
      for (int64_t ow = phase; ow < s.out[2]; ow += s.stride[2]) {
        const MetTaps wide = taps_at(s, 2, ow, of_phase);
        float* y = line + ow * s.channels;
        taps.count = 0;
        taps.begin = true;
        taps.end = false;
        for (int64_t i = 0; wide.count > 0 && i < deep.count * high.count; ++i) {
          const int64_t d = i / high.count, h = i % high.count;
          const int64_t row = (deep.at - d * deep.back) * s.in[1] + high.at - h * high.back;
          const int64_t kernel_row = (deep.first + d * deep.step) * s.kernel[1] + high.first + h * high.step;
          const float* x = image + (row * s.in[2] + wide.at) * s.channels;
          const float* weights = run.weights + (kernel_row * s.kernel[2] + wide.first) * padded;
          for (int64_t w = 0; w < wide.count; ++w) {
            if (taps.count == kTapsAtOnce) {
              add_channels(run, taps, activation, y);
              taps.begin = false;
              taps.count = 0;
            }
            taps.x[taps.count] = x - w * wide.back * s.channels;
            taps.weights[taps.count++] = weights + w * wide.step * padded;
          }
        }
        taps.end = true;
        add_channels(run, taps, activation, y);
      }
    }
    if (program) {
      apply_epilogue(s.epilogue, run.call, line, s.channels, n, (od * s.out[1] + oh) * s.out[2], s.out[2], 0, s.channels);
    }
  }
}

int pack(const gk_call* call, const State* state) {
  pack_weights(*state, data_of<const float>(call->inputs[1]), static_cast<float*>(call->packed));
  return GK_OK;
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  const int64_t pixels = s.batch * s.out[0] * s.out[1] * s.out[2];
  if (pixels == 0 || s.filters == 0) return GK_OK;
  const float* weights = static_cast<const float*>(call->packed);
  if (weights == nullptr) {
    if (call->workspace.size < static_cast<size_t>(s.packed_floats + divide_up(s.channels, kLanes) * kLanes) * 4) {
      return GK_WORKSPACE_TOO_SMALL;
    }
    pack_weights(s, data_of<const float>(call->inputs[1]), static_cast<float*>(call->workspace.data));
    weights = static_cast<const float*>(call->workspace.data);
  }
  TransposeRun run = {call, state, data_of<const float>(call->inputs[0]), weights, weights + s.packed_floats,
             has_input(call, 2) ? data_of<const float>(call->inputs[2]) : nullptr, data_of<float>(call->outputs[0]),
             s.epilogue, epilogue_is_tiled(s.epilogue)};
  int64_t flops = 2 * s.channels / s.group;  // of one output
  for (int i = 0; i < 3; ++i) flops *= divide_up(s.kernel[i], s.stride[i]);
  int status;
  if (s.by_channel != 0) {
    status = parallel_for(call, s.batch * s.out[0] * s.out[1], divide_up(kGrainFlops, 8 * flops * s.channels * s.out[2] + 1),
                          run_by_channel, &run);
  } else if (s.patches != kNoPatches) {
    status = run_patches(run);
  } else {
    // A row of a phase is every stride-th pixel: [outer, row] becomes [first pixel, pixel of the phase].
    for (EpilogueOperand& operand : run.epilogue.operands) {
      run.tiled = run.tiled && (s.batch == 1 || operand.outer_stride == 0 || &operand - run.epilogue.operands >= run.epilogue.operand_count);
      operand.outer_stride = operand.row_stride;
      operand.row_stride *= s.stride[2];
    }
    const int64_t phases = least(s.stride[2], s.out[2]);
    const int64_t tasks = s.group * divide_up(s.filters / s.group, s.columns) * s.batch * s.out[0] * s.out[1] * phases;
    status = parallel_for(call, tasks, divide_up(kGrainFlops, flops * s.columns * divide_up(s.out[2], phases) + 1), run_tasks, &run);
  }
  return status == GK_OK && !run.tiled ? apply_epilogue_whole(s.epilogue, call) : status;
}

}  // namespace

int conv_transpose(const gk_call* call) { return run_phase<State, prepare, run, pack>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
