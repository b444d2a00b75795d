// What is joined of float32 elements by each kind of reduction, a vector at a time.
#pragma once

#include "cpu/lib/lanes.h"
#include "cpu/lib/math/vmath.h"
#include "cpu/lib/reduce/reduce.h"

namespace graphopt {
namespace GK_LEVEL {
namespace reduce_loops {

// map: what is summed of an element; m is the largest element for SumExp. join: of two partial results.
struct Sum {
  static constexpr float kEmpty = 0;
  static GK_INLINE VecF32 map(VecF32 x, VecF32) { return x; }
  static GK_INLINE VecF32 join(VecF32 a, VecF32 b) { return a + b; }
  static GK_INLINE double join_one(double a, double b) { return a + b; }
};
struct SumAbs : Sum {
  static GK_INLINE VecF32 map(VecF32 x, VecF32) { return vmath::abs(x); }
};
struct SumSquare : Sum {
  static GK_INLINE VecF32 map(VecF32 x, VecF32) { return x * x; }
};
struct SumExp : Sum {
  static GK_INLINE VecF32 map(VecF32 x, VecF32 m) { return vmath::exp(x - m); }
};
struct Max : Sum {
  static constexpr float kEmpty = -__builtin_inff();
  static GK_INLINE VecF32 join(VecF32 a, VecF32 b) { return vmath::max(a, b); }
  static GK_INLINE double join_one(double a, double b) { return a != a || a > b ? a : b; }
};
struct Min : Sum {
  static constexpr float kEmpty = __builtin_inff();
  static GK_INLINE VecF32 join(VecF32 a, VecF32 b) { return vmath::min(a, b); }
  static GK_INLINE double join_one(double a, double b) { return a != a || a < b ? a : b; }
};
struct Prod : Sum {
  static constexpr float kEmpty = 1;
  static GK_INLINE VecF32 join(VecF32 a, VecF32 b) { return a * b; }
  static GK_INLINE double join_one(double a, double b) { return a * b; }
};

// All lanes joined, by halves.
template <class F>
GK_INLINE float join_lanes(VecF32 v) {
  if constexpr (vmath::kLanes >= 16) v = F::join(v, exchange<8>(v));
  if constexpr (vmath::kLanes >= 8) v = F::join(v, exchange<4>(v));
  v = F::join(v, exchange<2>(v));
  v = F::join(v, exchange<1>(v));
  return v[0];
}

// f.template operator()<F>() for the functor of a kind; sums that only differ in what is done at the end share one.
template <class Call>
auto with_kind(ReduceKind kind, Call f) {
  switch (kind) {
    case kReduceMax: return f.template operator()<Max>();
    case kReduceMin: return f.template operator()<Min>();
    case kReduceProd: return f.template operator()<Prod>();
    case kReduceL1: return f.template operator()<SumAbs>();
    case kReduceL2:
    case kReduceSumSquare: return f.template operator()<SumSquare>();
    case kReduceLogSumExp: return f.template operator()<SumExp>();
    default: return f.template operator()<Sum>();
  }
}

// What a kind does with a sum at the end. `most`: what log_sum_exp took off.
inline float finish(ReduceKind kind, double value, double most, int64_t count) {
  switch (kind) {
    case kReduceMean: return static_cast<float>(value / static_cast<double>(count));
    case kReduceL2: return static_cast<float>(__builtin_sqrt(value));
    case kReduceLogSum: return static_cast<float>(__builtin_log(value));
    case kReduceLogSumExp: return static_cast<float>(most + __builtin_log(value));
    default: return static_cast<float>(value);
  }
}

// The same for n sums, in place.
inline void finish_all(ReduceKind kind, float* y, const float* most, int64_t n, int64_t count) {
  if (kind == kReduceLogSum || kind == kReduceLogSumExp) {
    for (int64_t i = 0; i < n; ++i) y[i] = finish(kind, y[i], most == nullptr ? 0 : most[i], count);
  } else if (kind == kReduceMean || kind == kReduceL2) {
    const VecF32 share = vmath::splat(static_cast<float>(count));
    for (int64_t i = 0; i < n; i += vmath::kLanes) {
      const int part = n - i < vmath::kLanes ? static_cast<int>(n - i) : vmath::kLanes;
      const VecF32 v = vmath::load_part(y + i, part);
      vmath::store_part(y + i, kind == kReduceMean ? v / share : vmath::sqrt(v), part);
    }
  }
}

}  // namespace reduce_loops
}  // namespace GK_LEVEL
}  // namespace graphopt
