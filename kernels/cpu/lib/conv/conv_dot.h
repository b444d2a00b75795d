// Sums of products of runs of floats: a convolution with so few filters that lanes run along the sum.
//
//   y[pixel · y_step] = bias + Σ_tap Σ_i x[tap_offset[tap] + pixel · x_step + i] · w[tap · padded + i],  i < count
//
// w is packed with `count` rounded up to whole vectors, zeros behind. Reads nothing of x behind a run.
#pragma once

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

struct DotLine {
  const float* x;
  const int64_t* tap_offset;
  int64_t taps, count, x_step;
  const float* w;
  float bias;
  float* y;
  int64_t y_step, pixels;
};

inline int64_t dot_padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

void dot_line(const DotLine& line);

}  // namespace GK_LEVEL
}  // namespace graphopt
