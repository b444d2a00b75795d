#include "cpu/lib/conv/conv_dot.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kPixels = 8;  // sums in flight

// Lane i: the sum of lanes i and i ^ distance, of a where bit `distance` of i is clear, else of b.
template <int distance>
inline __attribute__((always_inline)) VecF32 add_pairs(VecF32 a, VecF32 b) {
  VecI32 own, other;
  for (int i = 0; i < kLanes; ++i) {
    const int from = (i & distance) == 0 ? 0 : kLanes;
    own[i] = from + i;
    other[i] = from + (i ^ distance);
  }
  return __builtin_shuffle(a, b, own) + __builtin_shuffle(a, b, other);
}

// The sum over the lanes of each vector, in the same order whatever their number.
inline __attribute__((always_inline)) void sum_each(const VecF32 (&v)[kPixels], float* sums) {
  VecF32 four[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    four[i] = add_pairs<2>(add_pairs<1>(v[4 * i], v[4 * i + 1]), add_pairs<1>(v[4 * i + 2], v[4 * i + 3]));
  }
  if constexpr (kLanes == 4) {
    store_lanes(sums, four[0]);
    store_lanes(sums + 4, four[1]);
  } else {
    VecF32 eight = add_pairs<4>(four[0], four[1]);
    if constexpr (kLanes == 16) eight = add_pairs<8>(eight, eight);
    store_part(sums, eight, kPixels);
  }
}

template <int pixels>
inline __attribute__((always_inline)) void dot_pixels(const DotLine& line, int64_t first) {
  VecF32 sums[kPixels] = {};
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
  float results[kPixels];
  sum_each(sums, results);
  for (int p = 0; p < pixels; ++p) line.y[(first + p) * line.y_step] = results[p] + line.bias;
}

}  // namespace

void dot_line(const DotLine& line) {
  int64_t pixel = 0;
  for (; pixel + kPixels <= line.pixels; pixel += kPixels) dot_pixels<kPixels>(line, pixel);
  for (; pixel < line.pixels; ++pixel) dot_pixels<1>(line, pixel);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
