// When lines pay, how they are cut, and how W is packed for them.
#include <string.h>

#include "cpu/lib/conv/conv_dot.h"
#include "cpu/lib/conv/conv_lines_layout.h"
#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace conv_lines;

namespace {

constexpr int64_t kBandFloats = 48 * 1024;
constexpr int32_t kFolds[] = {1, 2, 3, 4, 8, 16, 32};

// Multiply-adds of whole vectors for one pixel of Y, over the share of the peak that tiles of that width reach.
double fold_cost(const ConvShape& s, int64_t fold) {
  const int64_t vectors = ceil_div(fold * s.filters, kLanes);
  const double rate = vectors == 1 ? 0.65 : vectors % 2 == 0 ? 0.95 : 0.85;
  return static_cast<double>(taps_of(s) * span_of(s, fold) * vectors) / static_cast<double>(fold) / rate;
}

int32_t best_fold(const ConvShape& s) {
  int32_t best = 1;
  if (s.y_step != s.filters) return best;
  for (const int32_t fold : kFolds) {
    if (fold <= s.out[2] && fold_cost(s, fold) < 0.95 * fold_cost(s, best)) best = fold;
  }
  return best;
}

// The same for lanes along the sum, with their reduction at the end.
double dot_cost(const ConvShape& s) {
  const int64_t vectors = taps_of(s) * ceil_div(s.kernel[2] * s.channels, kLanes);
  return static_cast<double>(s.filters) * (1.4 * static_cast<double>(vectors) + 5.0);
}

}  // namespace

bool lines_pay(const ConvShape& s) {
  if (s.group != 1 || s.dilation[2] != 1 || s.channels == 0 || s.in[0] * s.in[1] * s.in[2] == 0) return false;
  // The indirect form: a tap at a time, or a kernel line at a time where nothing is padded.
  const bool padded = s.pad[2] != 0 || (s.out[2] - 1) * s.stride[2] + s.kernel[2] > s.in[2];
  const double per_tap = s.kernel[2] == 1 || !padded ? 0.0 : 0.6 / static_cast<double>(s.channels);
  const double indirect = fold_cost(s, 1) * (1.0 + per_tap);
  const double copy = 2.0 + static_cast<double>(ceil_div(s.stride[2] * s.channels * s.stride[1], kLanes));
  const double fold = fold_cost(s, best_fold(s)), dot = dot_cost(s);
  return (fold < dot ? fold : dot) + copy < 0.95 * indirect;
}

void prepare_lines(const gk_call* call, const ConvShape& s, LinesPlan* plan) {
  const int32_t fold = best_fold(s);
  plan->dot = dot_cost(s) < fold_cost(s, fold) ? 1 : 0;
  plan->fold = plan->dot != 0 ? 1 : fold;
  const int64_t workers = worker_count(call), step = s.stride[2] * s.channels;
  const int64_t kernel_lines = (s.kernel[1] - 1) * s.dilation[1] + 1;
  // Long lines are cut into parts, and short ones put together into a band.
  int64_t most = kBandFloats / (s.kernel[0] * kernel_lines * step);
  const int64_t tasks = s.batch * s.out[0] * s.out[1], least = plan->fold * kGemmRows / 2;
  if (tasks < workers && most > ceil_div(s.out[2] * tasks, workers)) most = ceil_div(s.out[2] * tasks, workers);
  most = ceil_div(most < least ? least : most, plan->fold) * plan->fold;
  plan->pixels = most < s.out[2] ? most : s.out[2];
  const int64_t padded = ceil_div(plan->pixels, plan->fold) * plan->fold;
  plan->line_floats = (padded - 1) * step + s.kernel[2] * s.channels;
  int64_t lines = kBandFloats / (s.kernel[0] * plan->line_floats);
  lines = lines <= kernel_lines ? 1 : (lines - kernel_lines) / s.stride[1] + 1;
  const int64_t share = ceil_div(tasks, 4 * workers);
  if (lines > share) lines = share > 4 ? share : 4;
  plan->lines = lines < s.out[1] ? lines : s.out[1];
  plan->band_lines = (plan->lines - 1) * s.stride[1] + kernel_lines;
}

int64_t lines_packed_bytes(const ConvShape& s, const LinesPlan& plan) {
  if (plan.dot != 0) return 4 * s.filters * taps_of(s) * dot_padded(span_of(s, 1));
  return 4 * gemm_packed_floats(taps_of(s) * span_of(s, plan.fold), plan.fold * s.filters);
}

uint64_t lines_format(const LinesPlan& plan) { return static_cast<uint64_t>(plan.dot != 0 ? 0 : plan.fold); }

void pack_lines(const ConvShape& s, const LinesPlan& plan, const float* weights, float* packed) {
  memset(packed, 0, static_cast<size_t>(lines_packed_bytes(s, plan)));
  const int64_t taps = taps_of(s), span = span_of(s, plan.fold), width = s.kernel[2], columns = plan.fold * s.filters;
  for (int64_t m = 0; m < s.filters; ++m) {
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const float* from = weights + ((m * s.channels + c) * taps + tap) * width;
        for (int64_t w = 0; w < width; ++w) {
          const int64_t i = w * s.channels + c;
          if (plan.dot != 0) {
            packed[(m * taps + tap) * dot_padded(span) + i] = from[w];
            continue;
          }
          for (int64_t p = 0; p < plan.fold; ++p) {
            const int64_t row = tap * span + p * s.stride[2] * s.channels + i, column = p * s.filters + m;
            const int64_t panel = column / kGemmCols * kGemmCols;
            const int64_t panel_width = columns - panel <= kGemmLanes ? kGemmLanes : kGemmCols;
            packed[gemm_panel_offset(taps * span, panel) + row * panel_width + column - panel] = from[w];
          }
        }
      }
    }
  }
}

int64_t lines_workspace_bytes(const gk_call* call, const ConvShape& s, const LinesPlan& plan) {
  return bias_bytes(s, plan) + (band_bytes(s, plan) + table_bytes(s, plan)) * worker_count(call);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
