// The exponential and what is made of it: expm1, sigmoid, silu, the hyperbolic functions.
#pragma once

#include "cpu/lib/math/vmath_base.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

// x = n ln 2 + r with |r| <= ln 2 / 2, for |x| < 2^22 ln 2.
struct Reduced {
  VecF32 r, high, low, n; // r = high + low; high is exact
  VecI32 integer;         // n
};

GK_INLINE Reduced reduce_by_log2(VecF32 x) {
  const VecF32 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
  const VecF32 shifted = x * 1.44269504089f + magic;
  const VecF32 n = shifted - magic;
  // ln 2 in two parts; the product with the first, of 15 bits, is exact.
  const VecF32 high = x - n * 0.693145751953125f;
  const VecF32 low = n * -1.42860682e-6f;
  return {high + low, high, low, n, bits(shifted) - bits(magic)};
}

// e^r - 1, the larger part added last.
GK_INLINE VecF32 expm1_of_reduced(const Reduced& reduced) {
  const VecF32 r = reduced.r;
  VecF32 q = r * 0.0013882488f + 0.0083666919f;
  q = q * r + 0.041667204f;
  q = q * r + 0.16666542f;
  q = q * r + 0.5f;
  return (q * (r * r) + reduced.low) + reduced.high;
}

// 2^n for -126 <= n <= 127.
GK_INLINE VecF32 power_of_two(VecI32 n) { return from_bits((n + 127) << 23); }

GK_INLINE VecF32 scale_by(VecF32 x, VecF32 n, VecI32 integer) {
#if defined(__AVX512F__)
  (void)integer;
  return _mm512_maskz_scalef_ps(kAllLanes, x, n);
#else
  (void)n;
  const VecI32 half = integer >> 1;
  return x * power_of_two(half) * power_of_two(integer - half);
#endif
}

// e^r for |r| <= ln 2 / 2.
GK_INLINE VecF32 exp_of_reduced(VecF32 r) {
  VecF32 p = r * 0.00139505218f + 0.00836890842f;
  p = p * r + 0.0416662053f;
  p = p * r + 0.166665187f;
  p = p * r + 0.50000001f;
  p = p * r + 1.0f;
  return p * r + 1.0f;
}

GK_INLINE VecF32 exp(VecF32 x) {
#if defined(__AVX512F__)
  // scalef takes any n, so only r needs a bound, which its infinities and NaN get too: n alone says what becomes of
  // them.
  const VecF32 magic = splat(12582912.0f);
  const VecF32 n = (x * 1.44269504089f + magic) - magic;
  VecF32 r = x - n * 0.693145751953125f;
  r = r - n * 1.42860682e-6f;
  constexpr int kSmallerSize = 2;  // of the two operands, with the sign of the first
  r = _mm512_maskz_range_ps(kAllLanes, r, splat(1.0f), kSmallerSize);
  return _mm512_maskz_scalef_ps(kAllLanes, exp_of_reduced(r), n);
#else
  // Past these the result is 0 and infinity; the bounds keep n in range.
  const Reduced reduced = reduce_by_log2(clamp(x, splat(-105.0f), splat(89.0f)));
  return scale_by(exp_of_reduced(reduced.r), reduced.n, reduced.integer);
#endif
}

// exp for x <= 0 whose small results do not matter: below 2^-125 it gives 0. NaN stays.
GK_INLINE VecF32 exp_of_negative(VecF32 x) {
  const Reduced reduced = reduce_by_log2(at_least(x, splat(-87.0f)));
  const VecF32 y = exp_of_reduced(reduced.r) * power_of_two(reduced.integer);
  return select(x < -86.6f, VecF32{}, y);
}

GK_INLINE VecF32 expm1(VecF32 x) {
  const Reduced reduced = reduce_by_log2(clamp(x, splat(-30.0f), splat(89.0f)));
  const VecF32 part = expm1_of_reduced(reduced);
  // 2^n part + (2^n - 1), by way of 2^(n - 1) where 2^n overflows.
  const VecI32 huge = reduced.integer > 126;
  const VecF32 power = power_of_two(reduced.integer + huge);
  const VecF32 y = part * power + (power - 1.0f);
  const VecF32 big = (part * power + power) * 2.0f;
  return select(x == 0.0f, x, select(huge, big, y));
}

GK_INLINE VecF32 sigmoid(VecF32 x) { return 1.0f / (1.0f + exp(-x)); }
GK_INLINE VecF32 silu(VecF32 x) { return x / (1.0f + exp(-x)); }

// With t = e^(-2|x|) - 1, tanh |x| = -t / (t + 2): no cancellation for small x.
GK_INLINE VecF32 tanh(VecF32 x) {
  const Reduced reduced = reduce_by_log2(at_least(abs(x) * -2.0f, splat(-30.0f)));
  const VecF32 power = power_of_two(reduced.integer);
  const VecF32 t = expm1_of_reduced(reduced) * power + (power - 1.0f);
  return copy_sign(t / (t + 2.0f), x);
}

// (e^s - 1) / 2 for s >= 0, by way of half of it: e^s may be twice the largest number. From 89.6 on it is infinite.
GK_INLINE VecF32 half_expm1(VecF32 s) {
  const Reduced reduced = reduce_by_log2(at_most(s, splat(89.6f)));
  const VecF32 quarter = power_of_two(reduced.integer - 2);
  return (expm1_of_reduced(reduced) * quarter + (quarter - 0.25f)) * 2.0f;
}

// With u = (e^|x| - 1) / 2, sinh |x| = u + u / (2u + 1): no cancellation for small x.
GK_INLINE VecF32 sinh(VecF32 x) {
  const VecF32 u = half_expm1(abs(x));
  const VecF32 finite = at_most(u, splat(1e18f));
  return copy_sign(u + finite / (finite * 2.0f + 1.0f), x);
}

// e^|x| / 2 + e^-|x| / 2
GK_INLINE VecF32 cosh(VecF32 x) {
  const Reduced reduced = reduce_by_log2(at_most(abs(x), splat(89.6f)));
  const VecF32 half = exp_of_reduced(reduced.r) * power_of_two(reduced.integer - 2) * 2.0f;
  return half + 0.25f / half;
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
