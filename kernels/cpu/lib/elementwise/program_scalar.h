// Loops of instructions over contiguous elements of any C type; the compiler vectorises what it can.
#pragma once

#include "cpu/lib/elementwise/program.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {

// dst[i] = F::of(a[i], b[i], c[i]). An operand may be dst: no iteration reads what another writes.
template <class T, class R, class F>
void run_block(const Block& block) {
  const T* a = static_cast<const T*>(block.in[0]);
  const T* b = static_cast<const T*>(block.in[1]);
  const T* c = static_cast<const T*>(block.in[2]);
  R* dst = static_cast<R*>(block.dst);
  const int64_t n = block.n;  // a copy: bytes and int64 written could be the block itself, for all the compiler knows
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (F::kArity == 1) {
      dst[i] = static_cast<R>(F::of(a[i], T{}, T{}));
    } else if constexpr (F::kArity == 2) {
      dst[i] = static_cast<R>(F::of(a[i], b[i], T{}));
    } else {
      dst[i] = static_cast<R>(F::of(a[i], b[i], c[i]));
    }
  }
}

#define GK_SCALAR(name, arity, expression)                                                                      \
  struct name {                                                                                                 \
    static constexpr int kArity = arity;                                                                        \
    template <class T>                                                                                          \
    static inline __attribute__((always_inline)) auto of(T a, [[maybe_unused]] T b, [[maybe_unused]] T c) {     \
      return expression;                                                                                        \
    }                                                                                                           \
  };

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
