// float32 instructions that are functions: arithmetic decides how fast they are.
#include "cpu/lib/elementwise/program_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

using vmath::select;
using vmath::splat;

#define GK_F32(name, arity, expression)                                                   \
  struct name {                                                                           \
    static constexpr int kArity = arity, kUnroll = 1;                                     \
    static GK_INLINE VecF32 of(VecF32 a, [[maybe_unused]] VecF32 b, [[maybe_unused]] VecF32 c) { return expression; } \
  };
// Short enough for several at once to gain.
struct Exp {
  static constexpr int kArity = 1, kUnroll = 4;
  static GK_INLINE VecF32 of(VecF32 a, VecF32, VecF32) { return vmath::exp(a); }
};
GK_F32(Log, 1, vmath::log(a))
GK_F32(Sin, 1, vmath::sin(a))
GK_F32(Cos, 1, vmath::cos(a))
GK_F32(Tanh, 1, vmath::tanh(a))
GK_F32(Erf, 1, vmath::erf(a))
GK_F32(Sigmoid, 1, vmath::sigmoid(a))
GK_F32(Silu, 1, vmath::silu(a))
GK_F32(QuickGelu, 2, a / (1.0f + vmath::exp(-(a * b))))
GK_F32(Gelu, 1, vmath::gelu(a))
GK_F32(GeluTanh, 1, vmath::gelu_tanh(a))
GK_F32(Elu, 2, select(a < 0.0f, b* vmath::expm1(a), a))
GK_F32(Celu, 2, vmath::at_least(a, VecF32{}) + vmath::at_most(b * vmath::expm1(a / b), VecF32{}))
GK_F32(Selu, 3, c* select(a <= 0.0f, b* vmath::expm1(a), a))
GK_F32(Softplus, 1, vmath::softplus(a))
GK_F32(Mish, 1, vmath::mish(a))
GK_F32(Pow, 2, vmath::pow(a, b))
GK_F32(Mod, 2, vmath::floor_mod(a, b))
GK_F32(Fmod, 2, vmath::fmod(a, b))
GK_F32(Tan, 1, vmath::tan(a))
GK_F32(Asin, 1, vmath::asin(a))
GK_F32(Acos, 1, vmath::acos(a))
GK_F32(Atan, 1, vmath::atan(a))
GK_F32(Sinh, 1, vmath::sinh(a))
GK_F32(Cosh, 1, vmath::cosh(a))
GK_F32(Asinh, 1, vmath::asinh(a))
GK_F32(Acosh, 1, vmath::acosh(a))
GK_F32(Atanh, 1, vmath::atanh(a))

GK_F32(Square, 1, a* a)
GK_F32(Cube, 1, a* a* a)
GK_F32(Fourth, 1, (a * a) * (a * a))
GK_F32(Root, 1, select(a == -__builtin_inff(), splat(__builtin_inff()), vmath::sqrt(a) + 0.0f))  // not -0
GK_F32(Inverse, 1, 1.0f / a)

// The powers that models use are products and roots.
void power(float* dst, int64_t dst_stride, const Rows* in, int64_t rows, int64_t cols) {
  const bool same = in[1].step == 0 && (rows == 1 || in[1].stride == 0);
  const float exponent = same ? *in[1].data : 0.0f;
  const F32Function found = exponent == 2.0f    ? run_rows<Square>
                            : exponent == 3.0f  ? run_rows<Cube>
                            : exponent == 4.0f  ? run_rows<Fourth>
                            : exponent == 0.5f  ? run_rows<Root>
                            : exponent == -1.0f ? run_rows<Inverse>
                                                : run_rows<Pow>;
  found(dst, dst_stride, in, rows, cols);
}

}  // namespace

F32Function f32_math(int opcode) {
  switch (opcode) {
    case kOp_exp: return run_rows<Exp>;
    case kOp_log: return run_rows<Log>;
    case kOp_sin: return run_rows<Sin>;
    case kOp_cos: return run_rows<Cos>;
    case kOp_tanh: return run_rows<Tanh>;
    case kOp_erf: return run_rows<Erf>;
    case kOp_sigmoid: return run_rows<Sigmoid>;
    case kOp_silu: return run_rows<Silu>;
    case kOp_quick_gelu: return run_rows<QuickGelu>;
    case kOp_gelu: return run_rows<Gelu>;
    case kOp_gelu_tanh: return run_rows<GeluTanh>;
    case kOp_elu: return run_rows<Elu>;
    case kOp_celu: return run_rows<Celu>;
    case kOp_selu: return run_rows<Selu>;
    case kOp_softplus: return run_rows<Softplus>;
    case kOp_mish: return run_rows<Mish>;
    case kOp_pow: return power;
    case kOp_mod: return run_rows<Mod>;
    case kOp_fmod: return run_rows<Fmod>;
    case kOp_tan: return run_rows<Tan>;
    case kOp_asin: return run_rows<Asin>;
    case kOp_acos: return run_rows<Acos>;
    case kOp_atan: return run_rows<Atan>;
    case kOp_sinh: return run_rows<Sinh>;
    case kOp_cosh: return run_rows<Cosh>;
    case kOp_asinh: return run_rows<Asinh>;
    case kOp_acosh: return run_rows<Acosh>;
    case kOp_atanh: return run_rows<Atanh>;
    default: return nullptr;
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
