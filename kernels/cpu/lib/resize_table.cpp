#include "cpu/lib/resize_table.h"

#include <math.h>

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr float kFarAway = 1e9f;  // coordinates beyond are held back, so that they fit integers

float coordinate_of(const ResizeRules& rules, int64_t o, int64_t in, int64_t out, float scale, float start, float end) {
  const float x = static_cast<float>(o), length = static_cast<float>(in), resized = static_cast<float>(out);
  // Corners are those of the resized input before its size was cut down to an integer.
  const float product = scale * length, corners = fabsf(product - resized) < 1e-5f * resized ? resized : product;
  switch (rules.coordinates) {
    case kAsymmetric: return x / scale;
    case kAlignCorners: return corners == 1.0f ? 0.0f : x * (length - 1.0f) / (corners - 1.0f);
    case kPytorchHalfPixel: return out == 1 ? 0.0f : (x + 0.5f) / scale - 0.5f;
    case kHalfPixelSymmetric: {
      const float adjustment = resized / (scale * length);
      return length / 2.0f * (1.0f - adjustment) + (x + 0.5f) / scale - 0.5f;
    }
    case kCropAndResize:
      if (corners == 1.0f) return 0.5f * (start + end) * (length - 1.0f);
      return start * (length - 1.0f) + x * (end - start) * (length - 1.0f) / (corners - 1.0f);
    case kHalfPixel: break;
  }
  return (x + 0.5f) / scale - 0.5f;
}

float rounded(ResizeRounding rounding, float x) {
  switch (rounding) {
    case kFloor: return floorf(x);
    case kCeil: return ceilf(x);
    case kPreferFloor: return ceilf(x - 0.5f);
    case kPreferCeil: break;
  }
  return floorf(x + 0.5f);
}

double kernel_weight(const ResizeRules& rules, double x) {
  x = fabs(x);
  if (rules.mode == kLinear) return x < 1.0 ? 1.0 - x : 0.0;
  const double a = static_cast<double>(rules.cubic_a);
  if (x <= 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return 0.0;
}

// How far the kernel reaches to either side, in inputs.
double reach_of(const ResizeRules& rules, double scale) {
  const double reach = rules.mode == kLinear ? 1.0 : 2.0;
  return rules.antialias != 0 && scale < 1.0 ? reach / scale : reach;
}

}  // namespace

int64_t resize_taps(const ResizeRules& rules, int64_t in, int64_t out) {
  if (rules.mode == kNearest) return 1;
  // Sizes are products cut down or rounded: the scale may have been this small.
  const double least = (static_cast<double>(out) - 1.0) / static_cast<double>(in);
  const double reach = least > 0.0 ? reach_of(rules, least) : rules.antialias != 0 ? 1e9 : reach_of(rules, 1.0);
  const double taps = 2.0 * ceil(reach) + 1.0;
  return taps < static_cast<double>(in) ? static_cast<int64_t>(taps) : in;
}

void fill_resize_table(const ResizeRules& rules, int64_t in, int64_t out, float scale, float roi_start, float roi_end,
                       const ResizeTable& table) {
  const int64_t last = in - 1;
  const double step = rules.antialias != 0 && scale < 1.0f ? static_cast<double>(scale) : 1.0;
  for (int64_t o = 0; o < out; ++o) {
    float x = coordinate_of(rules, o, in, out, scale, roi_start, roi_end);
    x = x >= -kFarAway ? x <= kFarAway ? x : kFarAway : -kFarAway;
    float* weights = table.weights + o * table.taps;
    if (rules.coordinates == kCropAndResize && (x < 0.0f || x > static_cast<float>(last))) {
      table.first[o] = 0;
      table.count[o] = -1;
      continue;
    }
    if (rules.mode == kNearest) {
      const int64_t at = static_cast<int64_t>(rounded(rules.rounding, x));
      table.first[o] = static_cast<int32_t>(at < 0 ? 0 : at > last ? last : at);
      table.count[o] = 1;
      weights[0] = 1.0f;
      continue;
    }
    // A coordinate outside of linear's reach is the border itself.
    const double reach = reach_of(rules, static_cast<double>(scale)), center = static_cast<double>(x);
    const int64_t low = static_cast<int64_t>(floor(center - reach)) + 1, high = static_cast<int64_t>(ceil(center + reach)) - 1;
    int64_t first = low < 0 ? 0 : low > last ? last : low;
    int64_t count = (high < 0 ? 0 : high > last ? last : high) - first + 1;
    count = count < table.taps ? count : table.taps;
    double total = 0.0;
    for (int64_t t = 0; t < count; ++t) {
      // Inputs beyond the border repeat it, or do not count.
      const int64_t i = first + t;
      double weight = kernel_weight(rules, (static_cast<double>(i) - center) * step);
      if (rules.exclude_outside == 0) {
        if (i == 0) {
          for (int64_t j = low; j < 0; ++j) weight += kernel_weight(rules, (static_cast<double>(j) - center) * step);
        }
        if (i == last) {
          for (int64_t j = high; j > last; --j) weight += kernel_weight(rules, (static_cast<double>(j) - center) * step);
        }
      }
      weights[t] = static_cast<float>(weight);
      total += weight;
    }
    // The plain kernels sum to one over all inputs; stretched or cut ones do not.
    if ((rules.antialias != 0 || rules.exclude_outside != 0) && total != 0.0) {
      for (int64_t t = 0; t < count; ++t) weights[t] = static_cast<float>(static_cast<double>(weights[t]) / total);
    }
    // What has no weight is not read: 0 · ∞ is not 0.
    while (count > 1 && weights[count - 1] == 0.0f) --count;
    int64_t zeros = 0;
    while (zeros < count - 1 && weights[zeros] == 0.0f) ++zeros;
    for (int64_t t = zeros; zeros > 0 && t < count; ++t) weights[t - zeros] = weights[t];
    table.first[o] = static_cast<int32_t>(first + zeros);
    table.count[o] = static_cast<int32_t>(count - zeros);
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
