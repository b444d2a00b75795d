// float32 instructions that are a few operations each: memory decides how fast they are.
#include "cpu/lib/elementwise/program_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

using namespace vmath;

#define GK_F32(name, arity, expression)                                                   \
  struct name {                                                                           \
    static constexpr int kArity = arity, kUnroll = 4;                                     \
    static GK_INLINE VecF32 of(VecF32 a, [[maybe_unused]] VecF32 b, [[maybe_unused]] VecF32 c) { return expression; } \
  };

GK_F32(Add, 2, a + b)
GK_F32(Sub, 2, a - b)
GK_F32(Mul, 2, a* b)
GK_F32(Div, 2, a / b)
GK_F32(Min, 2, vmath::min(a, b))
GK_F32(Max, 2, vmath::max(a, b))
GK_F32(MulAdd, 3, a* b + c)
GK_F32(Clip, 3, clamp(a, b, c))
GK_F32(Prelu, 2, select(a < 0.0f, a* b, a))
GK_F32(Identity, 1, a)
GK_F32(Neg, 1, -a)
GK_F32(Abs, 1, vmath::abs(a))
GK_F32(Sign, 1, select(a > 0.0f, splat(1.0f), select(a < 0.0f, splat(-1.0f), a)))
GK_F32(Reciprocal, 1, 1.0f / a)
GK_F32(Sqrt, 1, vmath::sqrt(a))
GK_F32(Round, 1, vmath::round(a))
GK_F32(Floor, 1, vmath::floor(a))
GK_F32(Ceil, 1, vmath::ceil(a))
GK_F32(Relu, 1, at_least(a, VecF32{}))
GK_F32(HardSigmoid, 3, clamp(a* b + c, VecF32{}, splat(1.0f)))
GK_F32(HardSwish, 1, a* clamp(a * (1.0f / 6) + 0.5f, VecF32{}, splat(1.0f)))
GK_F32(LeakyRelu, 2, select(a < 0.0f, a* b, a))
GK_F32(Softsign, 1, a / (1.0f + vmath::abs(a)))
GK_F32(ThresholdedRelu, 2, select(a > b, a, VecF32{}))
GK_F32(Shrink, 3, select(a < -c, a + b, select(a > c, a - b, VecF32{})))

}  // namespace

F32Function f32_arithmetic(int opcode) {
  switch (opcode) {
    case kOp_add: return run_rows<Add>;
    case kOp_sub: return run_rows<Sub>;
    case kOp_mul: return run_rows<Mul>;
    case kOp_div: return run_rows<Div>;
    case kOp_min: return run_rows<Min>;
    case kOp_max: return run_rows<Max>;
    case kOp_mul_add: return run_rows<MulAdd>;
    case kOp_clip: return run_rows<Clip>;
    case kOp_prelu: return run_rows<Prelu>;
    case kOp_identity: return run_rows<Identity>;
    case kOp_neg: return run_rows<Neg>;
    case kOp_abs: return run_rows<Abs>;
    case kOp_sign: return run_rows<Sign>;
    case kOp_reciprocal: return run_rows<Reciprocal>;
    case kOp_sqrt: return run_rows<Sqrt>;
    case kOp_round: return run_rows<Round>;
    case kOp_floor: return run_rows<Floor>;
    case kOp_ceil: return run_rows<Ceil>;
    case kOp_relu: return run_rows<Relu>;
    case kOp_hard_sigmoid: return run_rows<HardSigmoid>;
    case kOp_hard_swish: return run_rows<HardSwish>;
    case kOp_leaky_relu: return run_rows<LeakyRelu>;
    case kOp_softsign: return run_rows<Softsign>;
    case kOp_thresholded_relu: return run_rows<ThresholdedRelu>;
    case kOp_shrink: return run_rows<Shrink>;
    default: return nullptr;
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
