// Sizes that the plan and the run of conv_lines.h share.
#pragma once

#include "cpu/lib/conv/conv_lines.h"

namespace graphopt {
namespace GK_LEVEL {
namespace conv_lines {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t taps_of(const ConvShape& s) { return s.kernel[0] * s.kernel[1]; }
// Floats of one tap: the union of the windows of `fold` pixels.
inline int64_t span_of(const ConvShape& s, int64_t fold) {
  return ((fold - 1) * s.stride[2] + s.kernel[2]) * s.channels;
}

// Bytes of a worker's band and pointer tables, and of the bias of all columns.
inline int64_t band_bytes(const ConvShape& s, const LinesPlan& plan) {
  return ceil_div(4 * s.kernel[0] * plan.band_lines * plan.line_floats, 64) * 64;
}

inline int64_t table_bytes(const ConvShape& s, const LinesPlan& plan) {
  return ceil_div(8 * taps_of(s) * plan.lines * (plan.pixels / plan.fold + 1), 64) * 64;
}

inline int64_t bias_bytes(const ConvShape& s, const LinesPlan& plan) {
  return ceil_div(4 * plan.fold * s.filters, 64) * 64;
}

}  // namespace conv_lines
}  // namespace GK_LEVEL
}  // namespace graphopt
