// float16 and bfloat16 as bits: to float32 exactly, from float32 rounded to nearest, halves to even.
#pragma once

#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

inline float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline uint32_t bits_from_float(float value) { return __builtin_bit_cast(uint32_t, value); }

inline float float_from_bf16(uint16_t h) { return float_from_bits(static_cast<uint32_t>(h) << 16); }

inline uint16_t bf16_from_float(float value) {
  const uint32_t bits = bits_from_float(value);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float float_from_f16(uint16_t h) {
#if defined(__F16C__)
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
#else
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 31) return float_from_bits(sign | 0x7f800000 | fraction << 13);
  // A subnormal is a multiple of 2^-24.
  if (exponent == 0) {
    const float size = static_cast<float>(fraction) * 5.9604644775390625e-8f;
    return sign != 0 ? -size : size;
  }
  return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
#endif
}

inline uint16_t f16_from_float(float value) {
#if defined(__F16C__)
  return static_cast<uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT), 0));
#else
  const uint32_t bits = bits_from_float(value), size = bits & 0x7fffffff;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (size > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | (size >> 13 & 0x3ff));
  if (size >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // 65520 and more
  if (size < 0x38800000) {                                             // below 2^-14: adding 0.5 rounds to 2^-24
    const uint32_t rounded = bits_from_float(float_from_bits(size) + 0.5f) - 0x3f000000;
    return static_cast<uint16_t>(sign | rounded);
  }
  return static_cast<uint16_t>(sign | ((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13));
#endif
}

// A double to the float that rounds on to the same half: what is cut off stays visible in the last bit.
inline float float_for_half(double value) {
  const float near = static_cast<float>(value);
  if (static_cast<double>(near) == value || near != near) return near;
  const uint32_t bits = bits_from_float(near);
  if ((bits & 0x7f800000) == 0x7f800000) return near;
  // Round to odd: towards zero, then the last bit set.
  const bool away = __builtin_fabs(static_cast<double>(near)) > __builtin_fabs(value);
  return float_from_bits((away ? bits - 1 : bits) | 1);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
