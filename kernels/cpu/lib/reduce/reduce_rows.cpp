// Reductions of float32 over short contiguous rows. One row at a time would spend most of its time joining the lanes of
// a vector, so as many rows as there are lanes are reduced together: neighbouring lanes of two vectors are joined
// into one vector, again and again, until lane i holds row i.
#include "cpu/lib/reduce/reduce_loops.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

using namespace reduce_loops;

constexpr int64_t kMostShort = 16 * kLanes;

// v[0] becomes the joined pairs, fours … of `count` vectors one after the other.
template <class F, int count>
GK_INLINE void fold(VecF32* v) {
  if constexpr (count > 1) {
    constexpr int kHalf = count / 2;
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      const VecF32 a = v[2 * i], b = v[2 * i + 1];
      v[i] = F::join(pick(a, b, [](int k) { return 2 * k; }), pick(a, b, [](int k) { return 2 * k + 1; }));
    }
    fold<F, kHalf>(v);
  }
}

// kLanes rows of n that lie one after the other, n a power of two: their elements in order are n vectors.
template <class F, int n>
GK_INLINE VecF32 dense_rows(const float* p) {
  VecF32 v[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) v[i] = F::map(vmath::load(p + i * kLanes), VecF32{});
  fold<F, n>(v);
  return v[0];
}

// kLanes rows of any length, anywhere.
template <class F>
GK_INLINE VecF32 any_rows(const float* const* rows, int64_t n) {
  VecF32 v[kLanes], index;
  for (int i = 0; i < kLanes; ++i) index[i] = static_cast<float>(i);
  const int tail = static_cast<int>(n % kLanes);
  const VecI32 inside = index < static_cast<float>(tail);
  const int64_t whole = n - tail;
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) {
    const float* p = rows[r];
    v[r] = vmath::splat(F::kEmpty);
    for (int64_t i = 0; i < whole; i += kLanes) v[r] = F::join(v[r], F::map(vmath::load(p + i), VecF32{}));
    if (tail != 0) {
      const VecF32 rest = F::map(vmath::load_part(p + whole, tail), VecF32{});
      v[r] = F::join(v[r], vmath::select(inside, rest, vmath::splat(F::kEmpty)));
    }
  }
  fold<F, kLanes>(v);
  return v[0];
}

template <class F>
VecF32 dense_rows(const float* p, int64_t n) {
  if (n == 2) return dense_rows<F, 2>(p);
  if (n == 4) return dense_rows<F, 4>(p);
  if constexpr (kLanes >= 8) {
    if (n == 8) return dense_rows<F, 8>(p);
  }
  if constexpr (kLanes >= 16) {
    if (n == 16) return dense_rows<F, 16>(p);
  }
  return VecF32{};
}

struct Loop {
  const ReducePlan& plan;
  const float* x;
  float* y;
};

template <class F>
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const ReducePlan& plan = loop.plan;
  const int inner = plan.rank - 1;
  const int64_t n = plan.dims[inner];
  ReduceWalk kept(plan, plan.strides, 0, inner);
  const bool dense = kept.count == 1 && kept.strides[0] == n && n > 1 && n <= kLanes && (n & (n - 1)) == 0;
  kept.set(begin);
  for (int64_t i = begin; i < end; i += kLanes) {
    const int part = end - i < kLanes ? static_cast<int>(end - i) : kLanes;
    VecF32 result;
    if (dense) {
      const float* p = loop.x + i * n;
      float copy[kLanes * kLanes];
      if (part < kLanes) {  // nothing is read behind the last row
        for (int64_t k = 0; k < kLanes * n; ++k) copy[k] = k < part * n ? p[k] : 0.0f;
        p = copy;
      }
      result = dense_rows<F>(p, n);
    } else {
      const float* rows[kLanes];
      if (kept.count == 1) {
        const float* first = loop.x + i * kept.strides[0];
        for (int r = 0; r < kLanes; ++r) rows[r] = r < part ? first + r * kept.strides[0] : first;
      } else {
        for (int r = 0; r < kLanes; ++r) {
          rows[r] = r < part ? loop.x + kept.offset() : rows[0];
          if (r < part) kept.next();
        }
      }
      result = any_rows<F>(rows, n);
    }
    vmath::store_part(loop.y + i, result, part);
  }
  finish_all(plan.kind, loop.y + begin, nullptr, end - begin, plan.per_output);
}

}  // namespace

bool has_short_rows(const ReducePlan& plan) {
  const int inner = plan.rank - 1;
  const int64_t n = plan.dims[inner];
  // log_sum_exp needs the largest element of a row before it sums.
  return plan.reduced[inner] != 0 && plan.kind != kReduceLogSumExp && n == plan.per_output && n >= 1 &&
         n <= kMostShort && plan.outputs >= kLanes && (plan.strides[inner] == 1 || n == 1);
}

int reduce_short_rows(const gk_call* call, const ReducePlan& plan, const float* x, float* y) {
  Loop loop = {plan, x, y};
  const gk_body found = with_kind(plan.kind, []<class F>() -> gk_body { return body<F>; });
  return parallel_for(call, plan.outputs, kGrainBytes / (4 * plan.per_output + 32) + 1, found, &loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
