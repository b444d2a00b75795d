// The exponential inside a softmax: exp(x) for x ≤ 0 (or NaN), where -∞ is common and must give exactly 0.
// e^x = 2^n · 2^r with n = round(x·log₂e), |r| ≤ ½, 2^r by a polynomial of degree 6 (relative error 3e-9 before
// rounding). Results below the smallest normal number are 0.
#pragma once

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

// Make one before a loop and call it inside: where there are registers enough its constants stay in them (compilers
// would rather read each from memory every time, and a loop of these is then bound by its loads).
class SoftmaxExp {
 public:
  __attribute__((always_inline)) SoftmaxExp() {
    if constexpr (kVectorRegisters == 32) {
#pragma GCC unroll 16
      for (VecF32& constant : constants_) opaque(constant);
    }
  }

  __attribute__((always_inline)) VecF32 operator()(VecF32 x) const {
    // Clamped so that the scale below is exactly 0 at -∞; the operand order keeps NaN.
    x = max_lanes(constants_[0], x);
    const VecF32 shifted = x * constants_[1] + constants_[2];
    const VecF32 n = shifted - constants_[2];
    VecF32 r = x - n * constants_[3];
    r = r - n * constants_[4];
    VecF32 p = constants_[5] * r + constants_[6];
    p = p * r + constants_[7];
    p = p * r + constants_[8];
    p = p * r + constants_[9];
    p = p * r + constants_[10];
    p = p * r + constants_[10];
    const VecF32 scale = reinterpret_cast<VecF32>(reinterpret_cast<VecI32>(shifted) << 23);
    return p * scale;
  }

 private:
  VecF32 constants_[11] = {splat(-88.1f),
                           splat(1.44269504088896341f),         // log₂e
                           splat(12582912.0f + 127.0f),         // 1.5·2²³: the sum's low bits are n + 127
                           splat(0.693145751953125f),           // ln 2, upper bits
                           splat(1.42860682030941723212e-6f),   // ln 2, the rest
                           splat(0.001381446684812205f),
                           splat(0.008368780418326602f),
                           splat(0.04166839421514329f),
                           splat(0.16666520107742344f),
                           splat(0.49999993412480903f),
                           splat(1.0f)};
};

}  // namespace GK_LEVEL
}  // namespace graphopt
