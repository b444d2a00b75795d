// The exponential inside a softmax: exp(x) for x ≤ 0 (or NaN), where -∞ is common and must give exactly 0.
// e^x = 2^n · 2^r with n = round(x·log₂e), |r| ≤ ½, 2^r by a polynomial of degree 6 (relative error 3e-9 before
// rounding). Results below the smallest normal number are 0.
#pragma once

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

inline __attribute__((always_inline)) VecF32 exp_of_nonpositive(VecF32 x) {
  // Clamped so that the scale below is exactly 0 at -∞; the operand order keeps NaN.
  x = max_lanes(splat(-88.1f), x);
  const VecF32 magic = splat(12582912.0f + 127.0f);  // 1.5·2²³: the sum's low bits are the rounded integer
  const VecF32 shifted = x * 1.44269504088896341f + magic;
  const VecF32 n = shifted - magic;
  VecF32 r = x - n * 0.693145751953125f;
  r = r - n * 1.42860682030941723212e-6f;
  VecF32 p = splat(0.001381446684812205f);
  p = p * r + 0.008368780418326602f;
  p = p * r + 0.04166839421514329f;
  p = p * r + 0.16666520107742344f;
  p = p * r + 0.49999993412480903f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const VecF32 scale = reinterpret_cast<VecF32>(reinterpret_cast<VecI32>(shifted) << 23);
  return p * scale;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
