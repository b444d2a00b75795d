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

// x − 0 is x for every x, so nothing but the broadcast is left of it (0 + x would change −0).
inline __attribute__((always_inline)) VecF32 splat(float x) { return x - VecF32{}; }

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

// Lane i of the result is lane of(i) of a and b, one after the other. The indices are constants once inlined, so that
// the compiler sees unpack and lane-block instructions.
template <class Of>
inline __attribute__((always_inline)) VecF32 pick(VecF32 a, VecF32 b, Of of) {
  VecI32 index;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) index[i] = of(i);
  return __builtin_shuffle(a, b, index);
}

// rows[i][j] ↔ rows[j][i], in registers: squares of four lanes by interleaving, then blocks of four lanes.
inline __attribute__((always_inline)) void transpose_lanes(VecF32* rows) {
  const auto low = [](int i) { return (i & ~3) + (i & 1) * kLanes + (i >> 1 & 1); };
  const auto high = [](int i) { return (i & ~3) + (i & 1) * kLanes + (i >> 1 & 1) + 2; };
  const auto low_pair = [](int i) { return (i & ~3) + (i >> 1 & 1) * kLanes + (i & 1); };
  const auto high_pair = [](int i) { return (i & ~3) + (i >> 1 & 1) * kLanes + (i & 1) + 2; };
#pragma GCC unroll 4
  for (int g = 0; g < kLanes; g += 4) {
    const VecF32 a = pick(rows[g], rows[g + 1], low), b = pick(rows[g], rows[g + 1], high),
                 c = pick(rows[g + 2], rows[g + 3], low), d = pick(rows[g + 2], rows[g + 3], high);
    rows[g] = pick(a, c, low_pair);
    rows[g + 1] = pick(a, c, high_pair);
    rows[g + 2] = pick(b, d, low_pair);
    rows[g + 3] = pick(b, d, high_pair);
  }
  if constexpr (kLanes == 8) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const VecF32 a = rows[j], b = rows[4 + j];
      rows[j] = pick(a, b, [](int i) { return i < 4 ? i : i + 4; });
      rows[4 + j] = pick(a, b, [](int i) { return i < 4 ? i + 4 : i + 8; });
    }
  }
  if constexpr (kLanes == 16) {
    // Blocks 0 and 2, or 1 and 3, of a, then of b.
    const auto even = [](int i) { return (i >> 2 & 1) * 8 + (i >> 3) * kLanes + (i & 3); };
    const auto odd = [](int i) { return (i >> 2 & 1) * 8 + 4 + (i >> 3) * kLanes + (i & 3); };
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const VecF32 a = pick(rows[j], rows[4 + j], even), b = pick(rows[j], rows[4 + j], odd),
                   c = pick(rows[8 + j], rows[12 + j], even), d = pick(rows[8 + j], rows[12 + j], odd);
      rows[j] = pick(a, c, even);
      rows[4 + j] = pick(b, d, even);
      rows[8 + j] = pick(a, c, odd);
      rows[12 + j] = pick(b, d, odd);
    }
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
