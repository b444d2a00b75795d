#include "cpu/lib/conv_dot.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kPixels = 8;  // sums in flight

template <int pixels>
inline __attribute__((always_inline)) void dot_pixels(const DotLine& line, int64_t first) {
  VecF32 sums[pixels] = {};
  const int64_t whole = line.count / kLanes * kLanes, rest = line.count - whole;
  const float* w = line.w;
  for (int64_t tap = 0; tap < line.taps; ++tap) {
    const float* x = line.x + line.tap_offset[tap] + first * line.x_step;
    for (int64_t i = 0; i < whole; i += kLanes, w += kLanes) {
      const VecF32 weights = load_lanes(w);
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) sums[p] += load_lanes(x + p * line.x_step + i) * weights;
    }
    if (rest == 0) continue;
    const VecF32 weights = load_lanes(w);
    w += kLanes;
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) sums[p] += load_part(x + p * line.x_step + whole, rest) * weights;
  }
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) line.y[(first + p) * line.y_step] = sum_lanes(sums[p]) + line.bias;
}

}  // namespace

void dot_line(const DotLine& line) {
  int64_t pixel = 0;
  for (; pixel + kPixels <= line.pixels; pixel += kPixels) dot_pixels<kPixels>(line, pixel);
  for (; pixel < line.pixels; ++pixel) dot_pixels<1>(line, pixel);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
