// The error function and the two GELU.
#pragma once

#include "cpu/lib/math/vmath_exp.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

// erf x = x p(x^2) for small |x|.
GK_INLINE VecF32 erf_of_small(VecF32 x) {
  const VecF32 t = x * x;
  VecF32 p = t * 8.3167878e-05f - 0.00081300165f;
  p = p * t + 0.0051999069f;
  p = p * t - 0.026858943f;
  p = p * t + 0.11283687f;
  p = p * t - 0.37612632f;
  return x * (p * t + 1.1283792f);
}

// erfc x = 2^-p(x) for kErfSplit <= x <= kErfEnd; at the end it is half an ulp of 1.
constexpr float kErfSplit = 0.92f, kErfEnd = 3.93f;

GK_INLINE VecF32 erfc_of_large(VecF32 x) {
  VecF32 p = x * 2.1941394e-05f - 0.00050576532f;
  p = p * x + 0.0053024874f;
  p = p * x - 0.033974268f;
  p = p * x + 0.1520675f;
  p = p * x + 0.91810894f;
  p = p * x + 1.6270719f;
  p = p * x + 0.0003239445f;
  const VecF32 magic = splat(12582912.0f);
  const VecF32 shifted = magic - p;
  const VecF32 r = (magic - shifted) - p;  // 2^-p = 2^n 2^r
  VecF32 q = r * 0.0013276471f + 0.009675541f;
  q = q * r + 0.055507131f;
  q = q * r + 0.2402212f;
  q = q * r + 0.69314694f;
  q = q * r + 1.0000001f;
  return from_bits(bits(q) + (bits(shifted) << 23));
}

GK_INLINE VecF32 erf(VecF32 x) {
  const VecF32 size = at_most(abs(x), splat(kErfEnd));
  const VecF32 large = copy_sign(1.0f - erfc_of_large(size), x);
  return select(size >= kErfSplit, large, erf_of_small(x));  // NaN goes the way that keeps it
}

// x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - |x| erfc(|x| / sqrt 2) / 2: small results keep their digits.
GK_INLINE VecF32 gelu(VecF32 x) {
  const VecF32 size = abs(x);
  const VecF32 z = size * 0.70710678118f;
  const VecF32 large = select(z > kErfEnd, VecF32{}, erfc_of_large(at_most(z, splat(kErfEnd))));
  const VecF32 rest = select(z >= kErfSplit, large, 1.0f - erf_of_small(z));
  return at_least(x, VecF32{}) - select(size == __builtin_inff(), VecF32{}, size * 0.5f * rest);
}

// x / (1 + e^(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the same as 0.5 x (1 + tanh u)
GK_INLINE VecF32 gelu_tanh(VecF32 x) {
  const VecF32 u = x * (x * x * 0.071354816f + 1.5957691f);
  return x / (1.0f + exp(-u));
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
