// What convolutions do to results while they are in registers: y = clamp(x), or that of mobile networks,
// y = x · clamp(x / 6 + 1/2, 0, 1) with perhaps a number to multiply by and one to add.
#pragma once

#include "cpu/lib/elementwise/epilogue.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {

struct Activation {
  float low, high;
  bool swish, affine;
  float scale, shift;
};

// Whether that is all there is to do; an activation that changes nothing where it is not.
bool read_activation(const Epilogue& epilogue, Activation* activation);

template <int Count>
inline __attribute__((always_inline)) void activate(const Activation& activation, VecF32* v) {
  if (!activation.swish) {
    const VecF32 low = splat(activation.low), high = splat(activation.high);
#pragma GCC unroll 16
    for (int i = 0; i < Count; ++i) v[i] = vmath::clamp(v[i], low, high);
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Count; ++i) v[i] *= vmath::clamp(v[i] * (1.0f / 6) + 0.5f, VecF32{}, splat(1.0f));
  if (!activation.affine) return;
#pragma GCC unroll 16
  for (int i = 0; i < Count; ++i) v[i] = v[i] * activation.scale + activation.shift;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
