// Transposed convolutions by patches: a row of the product is one input pixel, its columns all taps of all filters.
//
//   patch[i][tap · M + m] = Σ_c x[i][c] · w[c][m][tap]
//   y[i · stride + tap − pad][m] = epilogue(bias[m] + Σ patch[i][tap · M + m])
//
// Where stride and kernel are equal, patches are cut up into the lines of Y. Others are added up there, strips as
// long as the stride at a time, whose neighbours are neighbours in Y: a filter or two waste nothing of a vector in the
// product and little in the sums. A task is some lines of Y; patches that reach into two tasks are computed by both.
#include "cpu/lib/conv/conv_transpose_phase.h"
#include "cpu/lib/gemm/gemm_f32.h"
#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {
namespace transpose {
namespace {

constexpr int64_t kPatchFloats = 8 * 1024;  // patches that wait: in the first cache
constexpr int64_t kPatchRows = 1024, kPatchColumns = 512;
constexpr int64_t kBandFloats = 64 * 1024;  // of Y, that a task adds up: in the second

int64_t columns_of(const TransposeState& s) { return s.taps * s.filters; }

int64_t rows_at_once(const TransposeState& s) {
  return least(kPatchFloats / columns_of(s), kPatchRows) / kGemmRows * kGemmRows;
}

// Patches of `rows` neighbouring pixels.
void multiply(const TransposeRun& run, const float* x, int64_t rows, const float* bias, float* patches) {
  const TransposeState& s = *run.state;
  const float* pointers[kPatchRows];
  for (int64_t i = 0; i < rows; ++i) pointers[i] = x + i * s.channels;
  GemmBlock block;
  block.rows = pointers;
  block.tap_step = rows;
  block.k = s.channels;
  block.b = run.weights;
  block.m = rows;
  block.n = columns_of(s);
  block.c = patches;
  block.ldc = columns_of(s);
  block.finish.bias = bias;
  block.finish.call = run.call;
  gemm_block(block);
}

// The epilogue of pixels [pixel, pixel + count) of image n.
void finish(const TransposeRun& run, int64_t n, int64_t pixel, int64_t count) {
  const TransposeState& s = *run.state;
  if (!run.tiled || !has_epilogue(s.epilogue)) return;
  float* y = run.y + (n * s.out[0] * s.out[1] * s.out[2] + pixel) * s.filters;
  if (s.epilogue.operand_count == 0) {  // every element alike: one long row
    apply_epilogue(s.epilogue, run.call, y, count * s.filters, 0, 0, 1, 0, count * s.filters);
  } else {
    apply_epilogue(s.epilogue, run.call, y, s.filters, n, pixel, count, 0, s.filters);
  }
}

// rows × width floats to rows so far apart, in place of what is there or added to it.
template <int Width, bool Add>
void move_narrow(const float* from, int64_t from_step, int64_t rows, float* to, int64_t to_step) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int j = 0; j < Width; ++j) {
      const float x = from[i * from_step + j];
      to[i * to_step + j] = Add ? to[i * to_step + j] + x : x;
    }
  }
}

template <bool Add>
void move(const float* from, int64_t from_step, int64_t rows, int64_t width, float* to, int64_t to_step) {
  switch (width) {
    case 1: return move_narrow<1, Add>(from, from_step, rows, to, to_step);
    case 2: return move_narrow<2, Add>(from, from_step, rows, to, to_step);
    case 3: return move_narrow<3, Add>(from, from_step, rows, to, to_step);
    case 4: return move_narrow<4, Add>(from, from_step, rows, to, to_step);
  }
  for (int64_t i = 0; i < rows; ++i, from += from_step, to += to_step) {
    int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes) {
      const VecF32 x = load_lanes(from + j);
      store_lanes(to + j, Add ? load_lanes(to + j) + x : x);
    }
    if (j == width) continue;
    const VecF32 x = load_part(from + j, width - j);
    store_part(to + j, Add ? load_part(to + j, width - j) + x : x, width - j);
  }
}

// A task is one row of inputs.
void cut_rows(void* context, int64_t begin, int64_t end, int32_t) {
  const TransposeRun& run = *static_cast<const TransposeRun*>(context);
  const TransposeState& s = *run.state;
  const int64_t width = s.stride[2] * s.filters, columns = columns_of(s), most = rows_at_once(s);
  alignas(64) float patches[kPatchFloats];
  float bias[kPatchColumns];
  for (int64_t i = 0; i < columns && run.bias != nullptr; ++i) bias[i] = run.bias[i % s.filters];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t ih = task % s.in[1], id = task / s.in[1] % s.in[0], n = task / s.in[1] / s.in[0];
    const float* x = run.x + task * s.in[2] * s.channels;
    for (int64_t first = 0; first < s.in[2]; first += most) {
      const int64_t rows = least(most, s.in[2] - first);
      multiply(run, x + first * s.channels, rows, run.bias == nullptr ? nullptr : bias, patches);
      for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
        for (int64_t kh = 0; kh < s.kernel[1]; ++kh) {
          const int64_t row = (id * s.stride[0] + kd) * s.out[1] + ih * s.stride[1] + kh;
          const int64_t pixel = row * s.out[2] + first * s.stride[2];
          float* y = run.y + (n * s.out[0] * s.out[1] * s.out[2] + pixel) * s.filters;
          move<false>(patches + (kd * s.kernel[1] + kh) * width, columns, rows, width, y, width);
          finish(run, n, pixel, rows * s.stride[2]);
        }
      }
    }
  }
}

// Line kh of the patches of pixels [first, first + rows) to a line of Y.
void add_line(const TransposeState& s, const float* patches, int64_t first, int64_t rows, float* line) {
  const int64_t columns = columns_of(s), stride = s.stride[2];
  for (int64_t kw = 0; kw < s.kernel[2]; kw += stride) {
    const int64_t taps = least(stride, s.kernel[2] - kw);
    // Pixels [low, high) have all their taps inside Y; those beside them some of them or none.
    const int64_t begin = kw - s.pad[2];
    int64_t low = begin < 0 ? divide_up(-begin, stride) : 0;
    int64_t high = s.out[2] < begin + taps ? 0 : (s.out[2] - begin - taps) / stride + 1;
    low = low < first ? first : least(low, first + rows);
    high = high < low ? low : least(high, first + rows);
    const float* from = patches + kw * s.filters;
    move<true>(from + (low - first) * columns, columns, high - low, taps * s.filters,
               line + (low * stride + begin) * s.filters, stride * s.filters);
    for (int64_t i = first; i < first + rows; ++i) {
      if (i >= low && i < high) continue;
      const int64_t at = i * stride + begin, skip = at < 0 ? -at : 0, end = least(taps, s.out[2] - at);
      if (skip >= end) continue;
      move<true>(from + (i - first) * columns + skip * s.filters, 0, 1, (end - skip) * s.filters,
                 line + (at + skip) * s.filters, 0);
    }
  }
}

// Lines of Y that one task adds up: enough that few patches are computed twice.
int64_t band_lines(const TransposeRun& run) {
  const TransposeState& s = *run.state;
  const int64_t line = s.out[2] * s.filters, stride = s.stride[1];
  const int64_t lines = least(kBandFloats / (line < 1 ? 1 : line) + 1,
                              divide_up(s.batch * s.out[0] * s.out[1], 2 * worker_count(run.call)));
  const int64_t fewest = 4 * s.kernel[1];
  return divide_up(lines < fewest ? fewest : lines, stride) * stride;
}

struct Bands {
  const TransposeRun* run;
  int64_t lines, count;  // of a band, bands of an image
};

void add_bands(void* context, int64_t begin, int64_t end, int32_t) {
  const Bands& bands = *static_cast<const Bands*>(context);
  const TransposeRun& run = *bands.run;
  const TransposeState& s = *run.state;
  const int64_t most = rows_at_once(s), line_floats = s.out[2] * s.filters;
  alignas(64) float patches[kPatchFloats];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t image = task / bands.count, first_line = task % bands.count * bands.lines;
    const int64_t lines = least(bands.lines, s.out[1] - first_line);
    const float* x = run.x + image * s.in[1] * s.in[2] * s.channels;
    float* y = run.y + (image * s.out[1] + first_line) * line_floats;
    for (int64_t i = 0; i < lines * s.out[2]; ++i) {
      for (int64_t m = 0; m < s.filters; ++m) y[i * s.filters + m] = run.bias == nullptr ? 0.0f : run.bias[m];
    }
    for (int64_t ih = 0; ih < s.in[1]; ++ih) {
      // Line kh of its patches goes to line top + kh of the band.
      const int64_t top = ih * s.stride[1] - s.pad[1] - first_line;
      if (top >= lines || top + s.kernel[1] <= 0) continue;
      for (int64_t first = 0; first < s.in[2]; first += most) {
        const int64_t rows = least(most, s.in[2] - first);
        multiply(run, x + (ih * s.in[2] + first) * s.channels, rows, nullptr, patches);
        for (int64_t kh = top < 0 ? -top : 0; kh < s.kernel[1] && top + kh < lines; ++kh) {
          add_line(s, patches + kh * s.kernel[2] * s.filters, first, rows, y + (top + kh) * line_floats);
        }
      }
    }
    finish(run, image / s.out[0], (image % s.out[0] * s.out[1] + first_line) * s.out[2], lines * s.out[2]);
  }
}

// Vectors of multiply-adds for one pixel of X, and what else takes as long as one.
double overlapping_cost(const TransposeState& s) {
  const int64_t strips = s.kernel[1] * divide_up(s.kernel[2], s.stride[2]) *
                         divide_up(least(s.stride[2], s.kernel[2]) * s.filters, kLanes);
  const int64_t vectors = divide_up(columns_of(s), kLanes);
  return static_cast<double>(s.channels * vectors) / 0.9 + 5.0 * static_cast<double>(strips) +
         2.0 * static_cast<double>(vectors);
}

double phase_cost(const TransposeState& s) {
  const int64_t vectors = divide_up(s.filters, kLanes);
  return static_cast<double>(s.taps * s.channels * vectors) / (vectors == 1 ? 0.5 : 0.85);
}

}  // namespace

Patches patches_of(const TransposeState& s) {
  if (s.group != 1 || s.by_channel != 0 || s.filters == 0 || s.channels == 0 || s.taps > kPatchColumns ||
      s.filters > kPatchColumns || columns_of(s) > kPatchColumns || rows_at_once(s) == 0) {
    return kNoPatches;
  }
  bool apart = true;
  for (int i = 0; i < 3; ++i) {
    apart = apart && s.kernel[i] == s.stride[i] && (s.kernel[i] == 1 || s.dilation[i] == 1) && s.pad[i] == 0 &&
            s.out[i] == s.in[i] * s.stride[i];
  }
  if (apart) return kApart;
  // Tasks are lines of Y, so there have to be some.
  const bool flat = s.kernel[0] == 1 && s.stride[0] == 1 && s.pad[0] == 0 && s.out[0] == s.in[0];
  if (!flat || s.out[1] < 2 || (s.kernel[1] > 1 && s.dilation[1] != 1) || (s.kernel[2] > 1 && s.dilation[2] != 1)) {
    return kNoPatches;
  }
  return overlapping_cost(s) < phase_cost(s) ? kOverlapping : kNoPatches;
}

int run_patches(const TransposeRun& run) {
  const TransposeState& s = *run.state;
  const int64_t row_flops = 2 * s.channels * columns_of(s) * s.in[2];
  if (s.patches == kApart) {
    TransposeRun apart = run;
    return parallel_for(run.call, s.batch * s.in[0] * s.in[1], divide_up(kGrainFlops, 2 * row_flops + 1), cut_rows,
                        &apart);
  }
  Bands bands = {&run, band_lines(run), 0};
  bands.count = divide_up(s.out[1], bands.lines);
  const int64_t flops = row_flops * (bands.lines / s.stride[1] + 1);
  return parallel_for(run.call, s.batch * s.out[0] * bands.count, divide_up(kGrainFlops, flops + 1), add_bands, &bands);
}

}  // namespace transpose
}  // namespace GK_LEVEL
}  // namespace graphopt
