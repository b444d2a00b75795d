// Powers and remainders: functions of two numbers, computed in double.
#pragma once

#include "cpu/lib/math/vmath_base.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

// 2^(y log2 x) for 0 < x < infinity and finite y. A result's error is that of y log2 x as it stands, so all of it is
// in double: log2 is good to 2^-36 of itself, a float32 result to half an ulp and a little.
GK_INLINE VecF32 pow_of_positive(VecF32 x, VecF32 y) {
  typedef uint64_t VecU64Wide __attribute__((vector_size(2 * kVectorBytes)));
  // Beyond this every power but that of one is 0 or infinity.
  const VecF64Wide exponent = __builtin_convertvector(clamp(y, splat(-2147483648.0f), splat(2147483648.0f)), VecF64Wide);
  // x = 2^n m, sqrt(1/2) <= m < sqrt(2)
  const VecU64Wide raw = reinterpret_cast<VecU64Wide>(__builtin_convertvector(x, VecF64Wide));
  const VecU64Wide biased = (raw + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;
  const VecF64Wide m = reinterpret_cast<VecF64Wide>(raw - (biased << 52) + 0x3ff0000000000000u);
  const VecF64Wide n = reinterpret_cast<VecF64Wide>(biased | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
  const VecF64Wide s = (m - 1.0) / (m + 1.0), t = s * s;
  VecF64Wide q = t * 0.34074205257703949 + 0.41167210591391917;
  q = q * t + 0.57708359399981912;
  q = q * t + 0.9617966733121649;
  q = q * t + 2.885390081790022;
  const VecF64Wide power = exponent * (q * s + n);
  // 2^power = 2^k 2^r; k is in the low bits of the sum.
  const VecF64Wide shifted = power + 6755399441055744.0;
  const VecF64Wide r = power - (shifted - 6755399441055744.0);
  VecF64Wide p = r * 0.00015478017742060228 + 0.00134004316691656;
  p = p * r + 0.0096179945311433406;
  p = p * r + 0.055503272157598323;
  p = p * r + 0.24022651504896669;
  p = p * r + 0.69314720670965146;
  p = p * r + 0.99999999991908839;
  const VecU64Wide scaled = reinterpret_cast<VecU64Wide>(p) + (reinterpret_cast<VecU64Wide>(shifted) << 52);
  const VecF32 rough = __builtin_convertvector(power, VecF32);
  // Where k does not fit into a double's exponent the bits are anybody's.
  VecF32 result = __builtin_convertvector(reinterpret_cast<VecF64Wide>(scaled), VecF32);
  result = select(rough > 129.0f, splat(__builtin_inff()), result);
  return select(rough < -151.0f, VecF32{}, result);
}

// x^y as in C. Infinities and NaN go to the C library, lane by lane.
GK_INLINE VecF32 pow(VecF32 x, VecF32 y) {
  const VecF32 size = abs(x), infinity = splat(__builtin_inff());
  const VecI32 usual = (size < infinity) & (abs(y) < infinity);
  const VecI32 zero = size == 0.0f;
  const VecF32 e = select(usual, y, VecF32{});
  VecF32 result = pow_of_positive(select(usual & ~zero, size, splat(1.0f)), e);
  result = select(zero, select(e < 0.0f, infinity, select(e == 0.0f, splat(1.0f), VecF32{})), result);
  // The sign of odd powers; other powers of negative numbers are none.
  const VecF32 half = e * 0.5f;
  const VecI32 whole = round(e) == e, odd = whole & (round(half) != half);
  result = from_bits(bits(result) ^ (bits(x) & odd & static_cast<int32_t>(0x80000000)));
  result = select((x < 0.0f) & ~whole, splat(__builtin_nanf("")), result);
  if (any(~usual)) {
    for (int i = 0; i < kLanes; ++i) {
      if (usual[i] == 0) result[i] = __builtin_powf(x[i], y[i]);
    }
  }
  return result;
}

// The remainder of x / y with the sign of x, exact. In double the quotient's whole part is right up to 2^28, and the
// product and the difference have no rounding; where it is larger, and for zeros, infinities and NaN, the C library.
GK_INLINE VecF32 fmod(VecF32 x, VecF32 y) {
  const VecF32 infinity = splat(__builtin_inff()), divisor = abs(y);
  const VecI32 usual = (abs(x) < divisor * 134217728.0f) & (divisor < infinity) & (abs(x) < infinity);
  const VecF64Wide a = __builtin_convertvector(select(usual, abs(x), VecF32{}), VecF64Wide);
  const VecF64Wide b = __builtin_convertvector(select(usual, divisor, splat(1.0f)), VecF64Wide);
  const VecI32 quotient = __builtin_convertvector(a / b, VecI32);
  VecF32 rest = copy_sign(__builtin_convertvector(a - __builtin_convertvector(quotient, VecF64Wide) * b, VecF32), x);
  if (any(~usual)) {
    for (int i = 0; i < kLanes; ++i) {
      if (usual[i] == 0) rest[i] = __builtin_fmodf(x[i], y[i]);
    }
  }
  return rest;
}

// The same with the sign of y.
GK_INLINE VecF32 floor_mod(VecF32 x, VecF32 y) {
  const VecF32 rest = fmod(x, y);
  return select((rest != 0.0f) & ((rest < 0.0f) != (y < 0.0f)), rest + y, rest);
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
