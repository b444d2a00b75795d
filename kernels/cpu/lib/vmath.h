// Functions of float32 vectors: within 2.5 ulp of the exact value (mish 4.5; gelu_tanh 2.5 ulp of x), special values
// as in C, no table, no branch except
// where one is named. Each is polynomials on a reduced argument; the coefficients are minimax fits of our own.
// A multiplication and an addition may or may not be fused: nothing here depends on it.
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

// ---- exponentials ----

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

GK_INLINE VecF32 exp(VecF32 x) {
  // Past these the result is 0 and infinity; the bounds keep n in range.
  const Reduced reduced = reduce_by_log2(clamp(x, splat(-105.0f), splat(89.0f)));
  return scale_by(expm1_of_reduced(reduced) + 1.0f, reduced.n, reduced.integer);
}

// exp for x <= 0 whose small results do not matter: below 2^-125 it gives 0. NaN stays.
GK_INLINE VecF32 exp_of_negative(VecF32 x) {
  const Reduced reduced = reduce_by_log2(at_least(x, splat(-87.0f)));
  const VecF32 y = (expm1_of_reduced(reduced) + 1.0f) * power_of_two(reduced.integer);
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

// ---- logarithms ----

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

// ln(1 + x) for 0 <= x <= 1: the rounding of 1 + x is put right.
GK_INLINE VecF32 log1p_of_fraction(VecF32 x) {
  VecF32 u = 1.0f + x;
  opaque(u);
  const VecF32 lost = x - (u - 1.0f);
  return log_of_normal(u, VecF32{}) + lost / u;
}

// ln(1 + e^x)
GK_INLINE VecF32 softplus(VecF32 x) { return at_least(x, VecF32{}) + log1p_of_fraction(exp(-abs(x))); }

// x tanh(ln(1 + e^x)) = x (w^2 + 2w) / (w^2 + 2w + 2) with w = e^x
GK_INLINE VecF32 mish(VecF32 x) {
  const VecF32 w = exp(at_most(x, splat(20.0f)));
  const VecF32 top = w * (w + 2.0f);
  return select(x > 20.0f, x, x * (top / (top + 2.0f)));
}

// ---- erf ----

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
  return select(size < kErfSplit, erf_of_small(x), large);
}

// x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - |x| erfc(|x| / sqrt 2) / 2: small results keep their digits.
GK_INLINE VecF32 gelu(VecF32 x) {
  const VecF32 size = abs(x);
  const VecF32 z = size * 0.70710678118f;
  const VecF32 large = select(z > kErfEnd, VecF32{}, erfc_of_large(at_most(z, splat(kErfEnd))));
  const VecF32 rest = select(z < kErfSplit, 1.0f - erf_of_small(z), large);
  return at_least(x, VecF32{}) - select(size == __builtin_inff(), VecF32{}, size * 0.5f * rest);
}

// x / (1 + e^(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the same as 0.5 x (1 + tanh u)
GK_INLINE VecF32 gelu_tanh(VecF32 x) {
  const VecF32 u = x * (x * x * 0.071354816f + 1.5957691f);
  return x / (1.0f + exp(-u));
}

// ---- sine and cosine ----

struct SineCosine {
  VecF32 sine, cosine;
  VecI32 quadrant;
};

// For |x| < kMostSine; the caller does the rest. The reduction is in double, where n * (pi/2's first 33 bits) is exact.
constexpr float kMostSine = 1e6f;

GK_INLINE SineCosine sine_cosine(VecF32 x) {
  const VecF64Wide wide = __builtin_convertvector(x, VecF64Wide);
  const double magic = 6755399441055744.0;  // 1.5 * 2^52
  const VecF64Wide shifted = wide * 0.63661977236758134 + magic;
  const VecF64Wide n = shifted - magic;
  const VecF64Wide rest = (wide - n * 1.5707963267341256) - n * 6.0771005065061922e-11;
  const VecF32 r = __builtin_convertvector(rest, VecF32);
  const VecI32 quadrant = __builtin_convertvector(reinterpret_cast<VecI64Wide>(shifted), VecI32);
  const VecF32 t = r * r;
  VecF32 s = t * 2.7171591e-06f - 0.00019839211f;
  s = s * t + 0.0083333291f;
  s = s * t - 0.16666667f;
  VecF32 c = t * -2.7196666e-07f + 2.4799348e-05f;
  c = c * t - 0.0013888883f;
  c = c * t + 0.041666668f;
  return {s * (t * r) + r, (c * (t * t) - t * 0.5f) + 1.0f, quadrant};
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

// Rare arguments (huge, infinite, NaN) go to the C library, lane by lane.
GK_INLINE VecF32 sin(VecF32 x) {
  const VecI32 near = abs(x) < kMostSine;
  VecF32 y = sin_reduced(select(near, x, VecF32{}));
  if (any(~near)) {
    for (int i = 0; i < kLanes; ++i) {
      if (near[i] == 0) y[i] = __builtin_sinf(x[i]);
    }
  }
  return y;
}

GK_INLINE VecF32 cos(VecF32 x) {
  const VecI32 near = abs(x) < kMostSine;
  VecF32 y = cos_reduced(select(near, x, VecF32{}));
  if (any(~near)) {
    for (int i = 0; i < kLanes; ++i) {
      if (near[i] == 0) y[i] = __builtin_cosf(x[i]);
    }
  }
  return y;
}

}  // namespace vmath
}  // namespace GK_LEVEL
}  // namespace graphopt
