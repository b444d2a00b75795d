// Sizes that the plan and the run of conv_grouped.h share.
#pragma once

#include "cpu/lib/conv/conv_grouped.h"
#include "cpu/lib/conv/conv_grouped_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace grouped {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Most groups that a vector of filters meets.
inline int64_t groups_met(int64_t filters) {
  return kLanes % filters == 0 ? kLanes / filters : (kLanes + filters - 2) / filters + 1;
}

// The tile for what is left of a line, and the pixels of the band that tiles of a line reach for.
inline int tile_index(int64_t left) {
  return left <= kTilePixels[2] ? 2 : left <= kTilePixels[1] ? 1 : 0;
}

inline int64_t pixels_covered(int64_t pixels) {
  const int64_t whole = pixels / kMostPixels * kMostPixels;
  return whole == pixels ? pixels : whole + kTilePixels[tile_index(pixels - whole)];
}

// The filters of a vector: neighbours, in the broadcast form of one group.
struct BlockFilters {
  int64_t first, count;
};

inline BlockFilters filters_of(const ConvShape& s, const GroupedPlan& plan, int64_t block) {
  const int64_t length = plan.form == kGroupedBroadcast ? s.group_filters() : s.filters, each = ceil_div(length, kLanes);
  const int64_t inside = block % each * kLanes, left = length - inside;
  return {block / each * length + inside, left < kLanes ? left : kLanes};
}

// A worker's band and the offsets of kernel lines in it.
inline int64_t band_bytes(const ConvShape& s, const GroupedPlan& plan) {
  return ceil_div(4 * s.kernel[0] * plan.band_lines * plan.line_floats, 64) * 64;
}

inline int64_t worker_bytes(const ConvShape& s, const GroupedPlan& plan) {
  return band_bytes(s, plan) + ceil_div(8 * s.kernel[0] * s.kernel[1], 64) * 64;
}

}  // namespace grouped
}  // namespace GK_LEVEL
}  // namespace graphopt
