// When groups of few filters are taken together, how they are cut, and how W is packed for them.
#include "cpu/lib/conv/conv_grouped.h"
#include "cpu/lib/conv/conv_grouped_layout.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace grouped;

namespace {

constexpr int64_t kBandFloats = 8 * 1024;  // most of the first cache

GroupedForm form_of(const ConvShape& s) {
  const int64_t depth = s.group_channels(), filters = s.group_filters(), taps = s.taps();
  if (depth == 0) return kGroupedNone;
  if (s.group == 1) {
    // First layers: one vector of filters in a product of lines would be limited by the broadcasts of X.
    const bool first = depth <= 4 && filters <= kLanes && 4 * filters > 3 * kLanes && s.kernel[2] == 3;
    return first && s.dilation[2] == 1 && s.stride[2] <= 2 && taps > 3 ? kGroupedBroadcast : kGroupedNone;
  }
  if (filters == depth && filters > 1 && filters <= kLanes && kLanes % filters == 0) {
    return taps == 1 && filters == kLanes ? kGroupedNone : kGroupedSpread;
  }
  // The copies of a band have to serve several taps. (One filter for one channel is the depthwise form.)
  if (taps < 3 || (depth == 1 && filters == 1)) return kGroupedNone;
  if (2 * filters <= kLanes || depth == 1) {
    return filters <= kLanes && groups_met(filters) * depth <= 2 * kLanes ? kGroupedExpanded : kGroupedNone;
  }
  return filters <= kLanes ? kGroupedBroadcast : kGroupedNone;
}

}  // namespace

bool grouped_pays(const ConvShape& s) {
  return form_of(s) != kGroupedNone && s.in[0] * s.in[1] * s.in[2] > 0;
}

void prepare_grouped(const gk_call* call, const ConvShape& s, GroupedPlan* plan) {
  const int64_t depth = s.group_channels();
  plan->form = form_of(s);
  plan->by_three = s.dilation[2] == 1 && s.stride[2] <= 2 && s.kernel[2] >= 3;
  const int64_t vectors = plan->form == kGroupedBroadcast ? ceil_div(s.group_filters(), kLanes) : 0;
  plan->blocks = vectors > 0 ? s.group * vectors : ceil_div(s.filters, kLanes);
  plan->pixel_floats = plan->form == kGroupedSpread ? kLanes : plan->form == kGroupedBroadcast ? depth : depth * kLanes;
  const int64_t kernel_lines = (s.kernel[1] - 1) * s.dilation[1] + 1, span = (s.kernel[2] - 1) * s.dilation[2] + 1;
  // Long lines are cut into parts, and short ones put together into a band.
  const int64_t line_room = kBandFloats / (s.kernel[0] * kernel_lines * plan->pixel_floats);
  int64_t most = line_room <= span ? 0 : (line_room - span) / s.stride[2] + 1;
  most = most < 2 * kMostPixels ? 2 * kMostPixels : most / kMostPixels * kMostPixels;
  plan->pixels = most < s.out[2] ? most : s.out[2];
  plan->line_floats = ((pixels_covered(plan->pixels) - 1) * s.stride[2] + span) * plan->pixel_floats;
  int64_t lines = kBandFloats / (s.kernel[0] * plan->line_floats);
  lines = lines <= kernel_lines ? 1 : (lines - kernel_lines) / s.stride[1] + 1;
  const int64_t tasks = s.batch * s.out[0] * s.out[1] * plan->blocks, share = ceil_div(tasks, 4 * worker_count(call));
  if (lines > share) lines = share > 4 ? share : 4;
  plan->lines = lines < s.out[1] ? lines : s.out[1];
  plan->band_lines = (plan->lines - 1) * s.stride[1] + kernel_lines;
}

int64_t grouped_packed_bytes(const ConvShape& s, const GroupedPlan& plan) {
  return plan.blocks * s.taps() * s.group_channels() * kVectorBytes;
}

uint64_t grouped_format(const GroupedPlan& plan) { return static_cast<uint64_t>(2 * plan.form + plan.by_three); }

void pack_grouped(const ConvShape& s, const GroupedPlan& plan, const float* weights, float* packed) {
  const int64_t depth = s.group_channels(), taps = s.taps();
  const int64_t triples = plan.by_three != 0 ? s.kernel[2] / 3 : 0;
  for (int64_t block = 0; block < plan.blocks; ++block) {
    const BlockFilters filters = filters_of(s, plan, block);
    for (int64_t line = 0; line < taps; line += s.kernel[2]) {
      for (int64_t kw = 0; kw < s.kernel[2];) {
        const int64_t together = kw < 3 * triples ? 3 : 1;
        for (int64_t c = 0; c < depth; ++c) {
          for (int64_t t = 0; t < together; ++t) {
            for (int64_t lane = 0; lane < kLanes; ++lane) {
              const int64_t m = filters.first + lane;
              *packed++ = lane < filters.count ? weights[(m * depth + c) * taps + line + kw + t] : 0.0f;
            }
          }
        }
        kw += together;
      }
    }
  }
}

int64_t grouped_workspace_bytes(const gk_call* call, const ConvShape& s, const GroupedPlan& plan) {
  return worker_bytes(s, plan) * worker_count(call);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
