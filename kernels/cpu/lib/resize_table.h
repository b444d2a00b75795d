// Where each output index of a resized axis reads its input, and with which weights.
//
// An output position o lies at input coordinate x (coordinate_transformation_mode). nearest rounds it; linear weighs the
// two neighbours by 1 − |x − i|; cubic weighs four by the Keys kernel with coefficient a; antialias stretches these
// kernels by 1 / scale when an axis shrinks. Neighbours beyond the border repeat it, or count nothing and the rest is
// scaled to one (exclude_outside).
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

enum ResizeMode : int32_t { kNearest, kLinear, kCubic };

enum ResizeCoordinates : int32_t {
  kHalfPixel,
  kHalfPixelSymmetric,
  kPytorchHalfPixel,
  kAlignCorners,
  kAsymmetric,
  kCropAndResize
};

enum ResizeRounding : int32_t { kPreferFloor, kPreferCeil, kFloor, kCeil };

struct ResizeRules {
  ResizeMode mode;
  ResizeCoordinates coordinates;
  ResizeRounding rounding;
  int32_t antialias, exclude_outside;
  float cubic_a, extrapolation;
};

// Output o is Σ_t weights[o * taps + t] · x[first[o] + t] over t < count[o]; a negative count means: the extrapolation
// value. All that is read lies inside the input.
struct ResizeTable {
  int32_t *first, *count;
  float* weights;
  int64_t taps;
};

// Weights per output that a table of these sizes may need, whatever the scale that led from `in` to `out`.
int64_t resize_taps(const ResizeRules& rules, int64_t in, int64_t out);

// Fills a table with space for resize_taps() weights per output. in and out are at least one.
void fill_resize_table(const ResizeRules& rules, int64_t in, int64_t out, float scale, float roi_start, float roi_end,
                       const ResizeTable& table);

}  // namespace GK_LEVEL
}  // namespace graphopt
