// Logarithms and what is made of them: softplus, mish, the inverse hyperbolic functions.
#pragma once

#include "cpu/lib/math/vmath_exp.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

// ln(1 + f) for sqrt(1/2) - 1 <= f < sqrt(2) - 1, as f - f^2/2 + f^3 p(f), plus n ln 2.
GK_INLINE VecF32 log_of_reduced(VecF32 f, VecF32 n) {
  VecF32 p = f * 0.067466401f - 0.11675652f;
  p = p * f + 0.11888162f;
  p = p * f - 0.12405589f;
  p = p * f + 0.14219552f;
  p = p * f - 0.16667996f;
  p = p * f + 0.20002119f;
  p = p * f - 0.25000009f;
  p = p * f + 0.33333313f;
  const VecF32 square = f * f;
  VecF32 y = p * (square * f) + n * 1.42860682e-6f;
  y = y - square * 0.5f;
  return (f + y) + n * 0.693145751953125f;
}

// For finite x > 0, normal.
GK_INLINE VecF32 log_of_normal(VecF32 x, VecF32 extra_exponent) {
  // Exponent steps at sqrt(1/2). Of numbers that are none of ours the bits may wrap around.
  const VecI32 offset = (VecI32)((VecU32)bits(x) - 0x3f3504f3u);
  const VecI32 n = offset >> 23;
  const VecF32 f = from_bits((offset & 0x007fffff) + 0x3f3504f3) - 1.0f;
  return log_of_reduced(f, __builtin_convertvector(n, VecF32) + extra_exponent);
}

GK_INLINE VecF32 log(VecF32 x) {
  const VecI32 tiny = x < 1.17549435e-38f;
  const VecF32 y = log_of_normal(select(tiny, x * 8388608.0f, x), select(tiny, splat(-23.0f), VecF32{}));
  const VecF32 infinity = splat(__builtin_inff());
  VecF32 special = select(x == 0.0f, -infinity, splat(__builtin_nanf("")));
  special = select(x == infinity, x, special);
  return select((x > 0.0f) & (x < infinity), y, special);
}

// ln(1 + x) for 0 <= x < 1e30: the rounding of 1 + x is put right.
GK_INLINE VecF32 log1p_of_positive(VecF32 x) {
  VecF32 u = 1.0f + x;
  opaque(u);
  VecF32 kept = u - 1.0f;
  opaque(kept);
  const VecF32 lost = (1.0f - (u - kept)) + (x - kept);
  return log_of_normal(u, VecF32{}) + lost / u;
}

// ln(1 + x) for 0 <= x <= 1. What is lost in 1 + x is less than half an ulp of it, so its share, lost / (1 + x), may be
// that of the chord from 0 to 1.
GK_INLINE VecF32 log1p_of_fraction(VecF32 x) {
  VecF32 u = 1.0f + x;
  opaque(u);
  const VecF32 kept = u - 1.0f;
  return log_of_normal(u, VecF32{}) + (x - kept) * (1.0f - kept * 0.5f);
}

// ln(1 + e^x)
GK_INLINE VecF32 softplus(VecF32 x) { return at_least(x, VecF32{}) + log1p_of_fraction(exp(-abs(x))); }

// x tanh(ln(1 + e^x)) = x (w^2 + 2w) / (w^2 + 2w + 2) with w = e^x
GK_INLINE VecF32 mish(VecF32 x) {
  const VecF32 w = exp(at_most(x, splat(20.0f)));
  const VecF32 top = w * (w + 2.0f);
  return select(x > 20.0f, x, x * (top / (top + 2.0f)));
}

// ---- inverse hyperbolic functions ----

// From here on x + sqrt(x^2 + 1) and x + sqrt(x^2 - 1) are 2x.
constexpr float kManyRoots = 1e4f;

// ln(|x| + sqrt(x^2 + 1)), as ln(1 + u) for small x.
GK_INLINE VecF32 asinh(VecF32 x) {
  const VecF32 size = abs(x);
  const VecI32 large = size > kManyRoots;
  const VecF32 s = select(large, VecF32{}, size), square = s * s;
  const VecF32 near = log1p_of_positive(square / (1.0f + sqrt(square + 1.0f)) + s);
  const VecF32 far = log_of_normal(select(large, size, splat(1.0f)), splat(1.0f));
  return copy_sign(select(size < __builtin_inff(), select(large, far, near), size), x);
}

GK_INLINE VecF32 acosh(VecF32 x) {
  const VecI32 large = x > kManyRoots;
  const VecF32 t = select(large | (x < 1.0f), VecF32{}, x) - select(large | (x < 1.0f), VecF32{}, splat(1.0f));
  const VecF32 near = log1p_of_positive(sqrt(t * (t + 2.0f)) + t);
  const VecF32 far = log_of_normal(select(large, x, splat(1.0f)), splat(1.0f));
  const VecF32 y = select(large & (x < __builtin_inff()), far, select(large, x, near));
  return select(x < 1.0f, splat(__builtin_nanf("")), y);
}

// ln((1 + x) / (1 - x)) / 2
GK_INLINE VecF32 atanh(VecF32 x) {
  const VecF32 size = abs(x);
  const VecI32 inside = size < 1.0f;
  const VecF32 s = select(inside, size, VecF32{});
  const VecF32 y = log1p_of_positive(s * 2.0f / (1.0f - s)) * 0.5f;
  const VecF32 edge = select(size == 1.0f, splat(__builtin_inff()), splat(__builtin_nanf("")));
  return copy_sign(select(inside, y, edge), x);
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
