// Vectors of float32 as functions of numbers need them: memory, bits, choices, rounding, lanes to one number.
#pragma once

#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {
namespace vmath {

#define GK_INLINE inline __attribute__((always_inline))

constexpr int kLanes = kVectorBytes / 4;
#if defined(__AVX512F__)
constexpr __mmask16 kAllLanes = 0xffff;  // gcc 12 warns of an uninitialised variable in the forms without a mask
#endif

typedef float VecF32Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
typedef uint32_t VecU32 __attribute__((vector_size(kVectorBytes)));
typedef double VecF64Wide __attribute__((vector_size(2 * kVectorBytes)));
typedef int64_t VecI64Wide __attribute__((vector_size(2 * kVectorBytes)));

// ---- memory ----

GK_INLINE VecF32 load(const float* p) { return *reinterpret_cast<const VecF32Unaligned*>(p); }
GK_INLINE void store(float* p, VecF32 v) { *reinterpret_cast<VecF32Unaligned*>(p) = v; }
GK_INLINE VecF32 splat(float x) { return x - VecF32{}; }
GK_INLINE VecI32 splat(int32_t x) { return x - VecI32{}; }

// The first n lanes, 0 <= n <= kLanes; the others are zero. Touches no memory behind them.
GK_INLINE VecF32 load_part(const float* p, int n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes));
#else
  VecF32 v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}

GK_INLINE void store_part(float* p, VecF32 v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes), v);
#else
  for (int i = 0; i < n; ++i) p[i] = v[i];
#endif
}

// ---- bits and choices ----

GK_INLINE VecI32 bits(VecF32 v) { return reinterpret_cast<VecI32>(v); }
GK_INLINE VecF32 from_bits(VecI32 v) { return reinterpret_cast<VecF32>(v); }
GK_INLINE VecF32 select(VecI32 mask, VecF32 yes, VecF32 no) { return mask ? yes : no; }
GK_INLINE VecF32 abs(VecF32 x) { return from_bits(bits(x) & 0x7fffffff); }
GK_INLINE VecF32 copy_sign(VecF32 magnitude, VecF32 sign) {
  return from_bits((bits(magnitude) & 0x7fffffff) | (bits(sign) & static_cast<int32_t>(0x80000000)));
}

// max(x, low) and min(x, high) that keep a NaN of x (not of the bound).
GK_INLINE VecF32 at_least(VecF32 x, VecF32 low) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(kAllLanes, low, x);
#elif defined(__AVX2__)
  return _mm256_max_ps(low, x);
#elif defined(__x86_64__)
  return _mm_max_ps(low, x);
#elif defined(__aarch64__)
  return vmaxq_f32(x, low);
#else
  return select(x < low, low, x);
#endif
}

GK_INLINE VecF32 at_most(VecF32 x, VecF32 high) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(kAllLanes, high, x);
#elif defined(__AVX2__)
  return _mm256_min_ps(high, x);
#elif defined(__x86_64__)
  return _mm_min_ps(high, x);
#elif defined(__aarch64__)
  return vminq_f32(x, high);
#else
  return select(x > high, high, x);
#endif
}

GK_INLINE VecF32 clamp(VecF32 x, VecF32 low, VecF32 high) { return at_most(at_least(x, low), high); }

// ONNX's and numpy's max and min: a NaN on either side stays.
GK_INLINE VecF32 max(VecF32 a, VecF32 b) { return select(a != a, a, at_least(b, a)); }
GK_INLINE VecF32 min(VecF32 a, VecF32 b) { return select(a != a, a, at_most(b, a)); }

GK_INLINE VecF32 sqrt(VecF32 x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(kAllLanes, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#elif defined(__x86_64__)
  return _mm_sqrt_ps(x);
#elif defined(__aarch64__)
  return vsqrtq_f32(x);
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

// ---- lanes to one number, always in the same order ----

GK_INLINE float sum_lanes(VecF32 v) {
  float part[kLanes];
  store(part, v);
#pragma GCC unroll 4
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  }
  return part[0];
}

GK_INLINE float max_lanes(VecF32 v) {  // NaN stays
  float most = v[0];
  for (int i = 1; i < kLanes; ++i) most = v[i] > most || v[i] != v[i] ? v[i] : most;
  return most;
}

GK_INLINE float min_lanes(VecF32 v) {
  float least = v[0];
  for (int i = 1; i < kLanes; ++i) least = v[i] < least || v[i] != v[i] ? v[i] : least;
  return least;
}

// ---- rounding ----

// To the nearest integer, halves to even. Keeps -0, infinities and NaN.
GK_INLINE VecF32 round(VecF32 x) {
  const VecF32 magic = splat(8388608.0f);  // 2^23: no bits are left for a fraction
  const VecF32 size = abs(x);
  VecF32 rounded = size + magic;
  opaque(rounded);
  return copy_sign(select(size < magic, rounded - magic, size), x);
}

GK_INLINE VecF32 floor(VecF32 x) {
  const VecF32 r = round(x);
  return copy_sign(select(r > x, r - 1.0f, r), x);
}

GK_INLINE VecF32 ceil(VecF32 x) {
  const VecF32 r = round(x);
  return copy_sign(select(r < x, r + 1.0f, r), x);
}

// Whether any lane of a mask is set.
GK_INLINE bool any(VecI32 mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(__x86_64__)
  return _mm_movemask_ps(reinterpret_cast<__m128>(mask)) != 0;
#else
  int32_t found = 0;
  for (int i = 0; i < kLanes; ++i) found |= mask[i];
  return found != 0;
#endif
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
