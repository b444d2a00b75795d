// Loops of float32 instructions: rows of vectors, one functor for a vector.
#pragma once

#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {

// One operand's row while it is walked: a row that is one value is that value in every lane, read again and again.
struct Row {
  const float* p;
  int64_t step;
  float lanes[vmath::kLanes];

  GK_INLINE void start(const Rows& rows, int64_t row) {
    p = rows.data + row * rows.stride;
    step = rows.step;
    if (step != 0) return;
    vmath::store(lanes, vmath::splat(*p));
    p = lanes;
  }
  GK_INLINE VecF32 at(int64_t i) const { return vmath::load(p + i * step); }
  GK_INLINE VecF32 part_at(int64_t i, int n) const { return vmath::load_part(p + i * step, n); }
};

// F::kArity operands, F::kUnroll vectors at a time, F::of(a, b, c).
template <class F>
void run_rows(float* dst, int64_t dst_stride, const Rows* in, int64_t rows, int64_t cols) {
  constexpr int kLanes = vmath::kLanes;
  Row a, b, c;
  for (int64_t r = 0; r < rows; ++r, dst += dst_stride) {
    a.start(in[0], r);
    if constexpr (F::kArity > 1) b.start(in[1], r);
    if constexpr (F::kArity > 2) c.start(in[2], r);
    const auto at = [&](int64_t i) __attribute__((always_inline)) {
      VecF32 x = a.at(i), y{}, z{};
      if constexpr (F::kArity > 1) y = b.at(i);
      if constexpr (F::kArity > 2) z = c.at(i);
      return F::of(x, y, z);
    };
    int64_t i = 0;
    if constexpr (F::kUnroll > 1) {
      for (; i + F::kUnroll * kLanes <= cols; i += F::kUnroll * kLanes) {
        VecF32 v[F::kUnroll];
#pragma GCC unroll 4
        for (int u = 0; u < F::kUnroll; ++u) v[u] = at(i + u * kLanes);
#pragma GCC unroll 4
        for (int u = 0; u < F::kUnroll; ++u) vmath::store(dst + i + u * kLanes, v[u]);
      }
    }
    for (; i + kLanes <= cols; i += kLanes) vmath::store(dst + i, at(i));
    if (i < cols) {
      const int n = static_cast<int>(cols - i);
      VecF32 x = a.part_at(i, n), y{}, z{};
      if constexpr (F::kArity > 1) y = b.part_at(i, n);
      if constexpr (F::kArity > 2) z = c.part_at(i, n);
      vmath::store_part(dst + i, F::of(x, y, z), n);
    }
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
