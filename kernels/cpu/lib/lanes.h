// What kernels that work on rows of float32 need of a vector besides arithmetic: any address, parts of a
// vector, sums and maxima over its lanes, square transposes.
#pragma once

#include <string.h>

#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kLanes = kVectorBytes / 4;

inline __attribute__((always_inline)) VecF32 load_lanes(const float* from) {
  VecF32 v;
  memcpy(&v, from, sizeof v);
  return v;
}

inline __attribute__((always_inline)) void store_lanes(float* to, VecF32 v) { memcpy(to, &v, sizeof v); }

inline __attribute__((always_inline)) VecF32 splat(float x) { return VecF32{} + x; }

// The first `count` (0 to kLanes) floats; the other lanes are 0. Reads nothing beyond them.
inline __attribute__((always_inline)) VecF32 load_part(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF32>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from));
#elif defined(__AVX2__)
  const VecI32 index = {0, 1, 2, 3, 4, 5, 6, 7};
  return reinterpret_cast<VecF32>(
      _mm256_maskload_ps(from, reinterpret_cast<__m256i>(index < static_cast<int32_t>(count))));
#else
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load_lanes(lanes);
#endif
}

// Writes the first `count` (0 to kLanes) lanes and nothing else.
inline __attribute__((always_inline)) void store_part(float* to, VecF32 v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  const VecI32 index = {0, 1, 2, 3, 4, 5, 6, 7};
  _mm256_maskstore_ps(to, reinterpret_cast<__m256i>(index < static_cast<int32_t>(count)), reinterpret_cast<__m256>(v));
#else
  float lanes[kLanes];
  store_lanes(lanes, v);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

// Lanes `count` and above become `fill`.
inline __attribute__((always_inline)) VecF32 keep_lanes(VecF32 v, int64_t count, float fill) {
  VecI32 index;
  for (int i = 0; i < kLanes; ++i) index[i] = i;
  return index < static_cast<int32_t>(count) ? v : splat(fill);
}

// The greater of each pair of lanes; b where either is NaN.
inline __attribute__((always_inline)) VecF32 max_lanes(VecF32 a, VecF32 b) {
#if defined(__AVX512F__)
  // The unmasked intrinsic starts from an undefined vector, which this compiler warns about.
  return reinterpret_cast<VecF32>(
      _mm512_maskz_max_ps(static_cast<__mmask16>(-1), reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF32>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__x86_64__)
  return reinterpret_cast<VecF32>(_mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
  return a > b ? a : b;
#endif
}

// a and b shuffled so that lane i comes from lane i ^ distance: the step of every butterfly below.
template <int distance>
inline __attribute__((always_inline)) VecF32 exchange(VecF32 v) {
  VecI32 index;
  for (int i = 0; i < kLanes; ++i) index[i] = i ^ distance;
  return __builtin_shuffle(v, index);
}

inline __attribute__((always_inline)) float sum_lanes(VecF32 v) {
  if constexpr (kLanes >= 16) v += exchange<8>(v);
  if constexpr (kLanes >= 8) v += exchange<4>(v);
  v += exchange<2>(v);
  v += exchange<1>(v);
  return v[0];
}

// NaN in any lane gives NaN or the maximum of the others.
inline __attribute__((always_inline)) float greatest_lane(VecF32 v) {
  if constexpr (kLanes >= 16) v = max_lanes(v, exchange<8>(v));
  if constexpr (kLanes >= 8) v = max_lanes(v, exchange<4>(v));
  v = max_lanes(v, exchange<2>(v));
  v = max_lanes(v, exchange<1>(v));
  return v[0];
}

// One stage of the transpose: swaps the off-diagonal blocks of `distance` in each pair of rows.
template <int distance>
inline __attribute__((always_inline)) void transpose_stage(VecF32* rows) {
  VecI32 low, high;
  for (int i = 0; i < kLanes; ++i) {
    low[i] = (i & distance) == 0 ? i : kLanes + (i ^ distance);
    high[i] = (i & distance) == 0 ? (i | distance) : kLanes + i;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & distance) != 0) continue;
    const VecF32 a = rows[i], b = rows[i + distance];
    rows[i] = __builtin_shuffle(a, b, low);
    rows[i + distance] = __builtin_shuffle(a, b, high);
  }
}

// rows[i][j] ↔ rows[j][i], in registers.
inline __attribute__((always_inline)) void transpose_lanes(VecF32* rows) {
  if constexpr (kLanes >= 16) transpose_stage<8>(rows);
  if constexpr (kLanes >= 8) transpose_stage<4>(rows);
  transpose_stage<2>(rows);
  transpose_stage<1>(rows);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
