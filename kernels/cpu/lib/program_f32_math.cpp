// float32 instructions that are functions: arithmetic decides how fast they are.
#include "cpu/lib/program_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

using vmath::select;

#define GK_F32(name, arity, expression)                                                   \
  struct name {                                                                           \
    static constexpr int kArity = arity, kUnroll = 1;                                     \
    static GK_INLINE VecF32 of(VecF32 a, [[maybe_unused]] VecF32 b, [[maybe_unused]] VecF32 c) { return expression; } \
  };
#define GK_F32_LANES(name, arity, expression) \
  GK_F32(name, arity, lane_by_lane([](float x, [[maybe_unused]] float y) { return expression; }, a, b))

// The remainder with the sign of the divisor.
float floor_mod(float x, float y) {
  const float rest = __builtin_fmodf(x, y);
  return rest != 0.0f && (rest < 0.0f) != (y < 0.0f) ? rest + y : rest;
}

GK_F32(Exp, 1, vmath::exp(a))
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
GK_F32_LANES(Pow, 2, __builtin_powf(x, y))
GK_F32_LANES(Mod, 2, floor_mod(x, y))
GK_F32_LANES(Fmod, 2, __builtin_fmodf(x, y))
GK_F32_LANES(Tan, 1, __builtin_tanf(x))
GK_F32_LANES(Asin, 1, __builtin_asinf(x))
GK_F32_LANES(Acos, 1, __builtin_acosf(x))
GK_F32_LANES(Atan, 1, __builtin_atanf(x))
GK_F32_LANES(Sinh, 1, __builtin_sinhf(x))
GK_F32_LANES(Cosh, 1, __builtin_coshf(x))
GK_F32_LANES(Asinh, 1, __builtin_asinhf(x))
GK_F32_LANES(Acosh, 1, __builtin_acoshf(x))
GK_F32_LANES(Atanh, 1, __builtin_atanhf(x))

GK_F32(Square, 1, a* a)
GK_F32(Cube, 1, a* a* a)

// The powers that models use are products.
void power(float* dst, int64_t dst_stride, const Rows* in, int64_t rows, int64_t cols) {
  const bool same = in[1].step == 0 && (rows == 1 || in[1].stride == 0);
  if (same && *in[1].data == 2.0f) return run_rows<Square>(dst, dst_stride, in, rows, cols);
  if (same && *in[1].data == 3.0f) return run_rows<Cube>(dst, dst_stride, in, rows, cols);
  run_rows<Pow>(dst, dst_stride, in, rows, cols);
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
