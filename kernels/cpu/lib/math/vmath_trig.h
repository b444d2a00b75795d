// Trigonometric functions and their inverses.
#pragma once

#include "cpu/lib/math/vmath_base.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

// x = quadrant pi/2 + r + lost with |r| <= pi/4; lost is what rounds off r. For |x| < kMostSine; the caller does the
// rest. The reduction is in double, where n * (pi/2's first 33 bits) is exact.
constexpr float kMostSine = 1e6f;

struct Quadrant {
  VecF32 r, lost;
  VecI32 number;
};

GK_INLINE Quadrant quadrant_of(VecF32 x) {
  const VecF64Wide wide = __builtin_convertvector(x, VecF64Wide);
  const double magic = 6755399441055744.0;  // 1.5 * 2^52
  const VecF64Wide shifted = wide * 0.63661977236758134 + magic;
  const VecF64Wide n = shifted - magic;
  const VecF64Wide rest = (wide - n * 1.5707963267341256) - n * 6.0771005065061922e-11;
  const VecF32 r = __builtin_convertvector(rest, VecF32);
  const VecF32 lost = __builtin_convertvector(rest - __builtin_convertvector(r, VecF64Wide), VecF32);
  return {r, lost, __builtin_convertvector(reinterpret_cast<VecI64Wide>(shifted), VecI32)};
}

struct SineCosine {
  VecF32 sine, cosine;
  VecI32 quadrant;
};

GK_INLINE SineCosine sine_cosine(VecF32 x) {
  const Quadrant at = quadrant_of(x);
  const VecF32 r = at.r, t = r * r;
  VecF32 s = t * 2.7171591e-06f - 0.00019839211f;
  s = s * t + 0.0083333291f;
  s = s * t - 0.16666667f;
  VecF32 c = t * -2.7196666e-07f + 2.4799348e-05f;
  c = c * t - 0.0013888883f;
  c = c * t + 0.041666668f;
  return {s * (t * r) + r, (c * (t * t) - t * 0.5f) + 1.0f, at.number};
}

GK_INLINE VecF32 sin_reduced(VecF32 x) {
  const SineCosine both = sine_cosine(x);
  const VecF32 y = select((both.quadrant & 1) == 0, both.sine, both.cosine);
  return select(x == 0.0f, x, from_bits(bits(y) ^ ((both.quadrant & 2) << 30)));
}

GK_INLINE VecF32 cos_reduced(VecF32 x) {
  const SineCosine both = sine_cosine(x);
  const VecF32 y = select((both.quadrant & 1) == 0, both.cosine, both.sine);
  return from_bits(bits(y) ^ (((both.quadrant + 1) & 2) << 30));
}

// tan r, or -1 / tan r in odd quadrants.
GK_INLINE VecF32 tan_reduced(VecF32 x) {
  const Quadrant at = quadrant_of(x);
  const VecF32 t = at.r * at.r;
  VecF32 p = t * 0.00437759262f + 8.69258593e-05f;
  p = p * t + 0.0108378226f;
  p = p * t + 0.0212814318f;
  p = p * t + 0.0540600589f;
  p = p * t + 0.133326621f;
  p = p * t + 0.333333498f;
  const VecF32 small = p * (t * at.r) + at.lost;
  const VecF32 y = at.r + (at.lost * t + small);
  return select(x == 0.0f, x, select((at.number & 1) == 0, y, -1.0f / y));
}

// Rare arguments (huge, infinite, NaN) go to the C library, lane by lane.
template <class Reduced, class Library>
GK_INLINE VecF32 by_reduction(VecF32 x, Reduced reduced, Library library) {
  const VecI32 near = abs(x) < kMostSine;
  VecF32 y = reduced(select(near, x, VecF32{}));
  if (any(~near)) {
    for (int i = 0; i < kLanes; ++i) {
      if (near[i] == 0) y[i] = library(x[i]);
    }
  }
  return y;
}

GK_INLINE VecF32 sin(VecF32 x) {
  return by_reduction(x, sin_reduced, [](float v) { return __builtin_sinf(v); });
}
GK_INLINE VecF32 cos(VecF32 x) {
  return by_reduction(x, cos_reduced, [](float v) { return __builtin_cosf(v); });
}
GK_INLINE VecF32 tan(VecF32 x) {
  return by_reduction(x, tan_reduced, [](float v) { return __builtin_tanf(v); });
}

// ---- inverse functions ----

constexpr float kHalfPi = 1.57079637f, kHalfPiRest = -4.37113883e-8f;  // pi/2 is their sum

// atan t = t + t^3 p(t^2) up to one, pi/2 - atan(1 / t) beyond.
GK_INLINE VecF32 atan(VecF32 x) {
  const VecF32 size = abs(x), one = splat(1.0f);
  const VecI32 large = size > 1.0f;
  const VecF32 t = select(large, one, size) / select(large, size, one);
  const VecF32 z = t * t;
  VecF32 p = z * -0.00179359384f + 0.0109144808f;
  p = p * z - 0.0311776126f;
  p = p * z + 0.0579573591f;
  p = p * z - 0.0840343663f;
  p = p * z + 0.109521811f;
  p = p * z - 0.142642408f;
  p = p * z + 0.199985482f;
  p = p * z - 0.333332991f;
  const VecF32 y = p * (z * t) + t;
  return copy_sign(select(large, (kHalfPi - y) + kHalfPiRest, y), x);
}

// With s = |x| up to 1/2, and s = sqrt((1 - |x|) / 2) beyond, asin s; asin |x| is that, or pi/2 - 2 asin s.
struct ArcSine {
  VecF32 y, rest;  // asin s = y + rest
  VecI32 large;
};

GK_INLINE ArcSine arc_sine(VecF32 x) {
  const VecF32 size = abs(x);
  const VecI32 large = size > 0.5f;
  const VecF32 z = select(large, 0.5f - size * 0.5f, size * size);
  const VecF32 s = select(large, sqrt(z), size);
  VecF32 p = z * 0.0375781568f + 0.0143938057f;
  p = p * z + 0.0318198193f;
  p = p * z + 0.044515471f;
  p = p * z + 0.0750051213f;
  p = p * z + 0.166666599f;
  return {s, p * (z * s), large};
}

GK_INLINE VecF32 asin(VecF32 x) {
  const ArcSine arc = arc_sine(x);
  const VecF32 beyond = (kHalfPi - arc.y * 2.0f) + (kHalfPiRest - arc.rest * 2.0f);
  return copy_sign(select(arc.large, beyond, arc.y + arc.rest), x);
}

GK_INLINE VecF32 acos(VecF32 x) {
  const ArcSine arc = arc_sine(x);
  const VecI32 negative = x < 0.0f;
  // pi/2 - asin x, or 2 asin s, or pi - 2 asin s
  const VecF32 y = select(negative, -arc.y, arc.y), rest = select(negative, -arc.rest, arc.rest);
  const VecF32 middle = (kHalfPi - y) + (kHalfPiRest - rest);
  const VecF32 high = (arc.y + arc.rest) * 2.0f;
  const VecF32 low = (2 * kHalfPi - arc.y * 2.0f) + (2 * kHalfPiRest - arc.rest * 2.0f);
  return select(arc.large, select(negative, low, high), middle);
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
