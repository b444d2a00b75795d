// float64 instructions, by the C library: exact first, rarely hot.
#include "cpu/lib/elementwise/program_scalar.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

double floor_mod(double x, double y) {
  const double rest = __builtin_fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

double sigmoid(double x) { return 1 / (1 + __builtin_exp(-x)); }
double max_of(double a, double b) { return a != a || a > b ? a : b; }
double min_of(double a, double b) { return a != a || a < b ? a : b; }
// Bounds that a NaN passes.
double clamp(double x, double low, double high) {
  const double y = x < low ? low : x;
  return y > high ? high : y;
}

GK_SCALAR(Add, 2, a + b)
GK_SCALAR(Sub, 2, a - b)
GK_SCALAR(Mul, 2, a* b)
GK_SCALAR(Div, 2, a / b)
GK_SCALAR(Pow, 2, __builtin_pow(a, b))
GK_SCALAR(Min, 2, min_of(a, b))
GK_SCALAR(Max, 2, max_of(a, b))
GK_SCALAR(Mod, 2, floor_mod(a, b))
GK_SCALAR(Fmod, 2, __builtin_fmod(a, b))
GK_SCALAR(MulAdd, 3, a* b + c)
GK_SCALAR(Clip, 3, clamp(a, b, c))
GK_SCALAR(Prelu, 2, a < 0 ? a * b : a)
GK_SCALAR(Identity, 1, a)
GK_SCALAR(Neg, 1, -a)
GK_SCALAR(Abs, 1, __builtin_fabs(a))
GK_SCALAR(Sign, 1, a > 0 ? 1.0 : a < 0 ? -1.0 : a)
GK_SCALAR(Reciprocal, 1, 1 / a)
GK_SCALAR(Root, 1, a == -__builtin_inf() ? __builtin_inf() : __builtin_sqrt(a) + 0.0)  // of -0 it is 0
GK_SCALAR(Round, 1, __builtin_nearbyint(a))
GK_SCALAR(Floor, 1, __builtin_floor(a))
GK_SCALAR(Ceil, 1, __builtin_ceil(a))
GK_SCALAR(Exp, 1, __builtin_exp(a))
GK_SCALAR(Log, 1, __builtin_log(a))
GK_SCALAR(Sin, 1, __builtin_sin(a))
GK_SCALAR(Cos, 1, __builtin_cos(a))
GK_SCALAR(Tan, 1, __builtin_tan(a))
GK_SCALAR(Asin, 1, __builtin_asin(a))
GK_SCALAR(Acos, 1, __builtin_acos(a))
GK_SCALAR(Atan, 1, __builtin_atan(a))
GK_SCALAR(Sinh, 1, __builtin_sinh(a))
GK_SCALAR(Cosh, 1, __builtin_cosh(a))
GK_SCALAR(Tanh, 1, __builtin_tanh(a))
GK_SCALAR(Asinh, 1, __builtin_asinh(a))
GK_SCALAR(Acosh, 1, __builtin_acosh(a))
GK_SCALAR(Atanh, 1, __builtin_atanh(a))
GK_SCALAR(Erf, 1, __builtin_erf(a))
GK_SCALAR(Relu, 1, a < 0 ? 0.0 : a)
GK_SCALAR(Sigmoid, 1, sigmoid(a))
GK_SCALAR(Silu, 1, a* sigmoid(a))
GK_SCALAR(QuickGelu, 2, a* sigmoid(a* b))
GK_SCALAR(Gelu, 1, 0.5 * a * __builtin_erfc(a * -0.70710678118654752440))
GK_SCALAR(GeluTanh, 1, a* sigmoid(1.5957691216057308 * (a + 0.044715 * a * a * a)))
GK_SCALAR(HardSigmoid, 3, clamp(a* b + c, 0.0, 1.0))
GK_SCALAR(HardSwish, 1, a* clamp(a / 6 + 0.5, 0.0, 1.0))
GK_SCALAR(LeakyRelu, 2, a < 0 ? a * b : a)
GK_SCALAR(Elu, 2, a < 0 ? b * __builtin_expm1(a) : a)
GK_SCALAR(Celu, 2, max_of(a, 0.0) + min_of(b * __builtin_expm1(a / b), 0.0))
GK_SCALAR(Selu, 3, c*(a <= 0 ? b * __builtin_expm1(a) : a))
GK_SCALAR(Softplus, 1, max_of(a, 0.0) + __builtin_log1p(__builtin_exp(-__builtin_fabs(a))))
GK_SCALAR(Softsign, 1, a / (1 + __builtin_fabs(a)))
GK_SCALAR(Mish, 1, a > 40 ? a : a * __builtin_tanh(__builtin_log1p(__builtin_exp(a))))
GK_SCALAR(ThresholdedRelu, 2, a > b ? a : 0.0)
GK_SCALAR(Shrink, 3, a < -c ? a + b : a > c ? a - b : 0.0)

// Roots a vector at a time: the C library's reports errors, which keeps compilers from doing that.
void root(const Block& block) {
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  constexpr int64_t kDoubles = kVectorBytes / 8;
  const double* a = static_cast<const double*>(block.in[0]);
  double* dst = static_cast<double*>(block.dst);
  int64_t i = 0;
  for (; i + kDoubles <= block.n; i += kDoubles) {
    const VecF64 x = *reinterpret_cast<const Unaligned*>(a + i);
#if defined(__AVX512F__)
    const VecF64 y = _mm512_maskz_sqrt_pd(0xff, x);
#elif defined(__AVX2__)
    const VecF64 y = _mm256_sqrt_pd(x);
#elif defined(__x86_64__)
    const VecF64 y = _mm_sqrt_pd(x);
#elif defined(__aarch64__)
    const VecF64 y = vsqrtq_f64(x);
#endif
    *reinterpret_cast<Unaligned*>(dst + i) = y;
  }
  for (; i < block.n; ++i) dst[i] = __builtin_sqrt(a[i]);
}

GK_SCALAR(Square, 1, a* a)
GK_SCALAR(Cube, 1, a* a* a)

// The powers that models use are products and roots.
void power(const Block& block) {
  const double* exponents = static_cast<const double*>(block.in[1]);
  const double first = block.n > 0 ? exponents[0] : 0;
  int64_t others = first == 2 || first == 3 || first == 0.5 ? 0 : 1;
  for (int64_t i = 0; i < block.n; ++i) others += exponents[i] != first ? 1 : 0;
  if (others != 0) return run_block<double, double, Pow>(block);
  if (first == 2) return run_block<double, double, Square>(block);
  if (first == 3) return run_block<double, double, Cube>(block);
  run_block<double, double, Root>(block);
}

}  // namespace

BlockFunction float64_function(int opcode) {
  switch (opcode) {
#define GK_CASE(opcode, name) \
  case kOp_##opcode:          \
    return run_block<double, double, name>;
    GK_CASE(add, Add)
    GK_CASE(sub, Sub)
    GK_CASE(mul, Mul)
    GK_CASE(div, Div)
    case kOp_pow: return power;
    GK_CASE(min, Min)
    GK_CASE(max, Max)
    GK_CASE(mod, Mod)
    GK_CASE(fmod, Fmod)
    GK_CASE(mul_add, MulAdd)
    GK_CASE(clip, Clip)
    GK_CASE(prelu, Prelu)
    GK_CASE(identity, Identity)
    GK_CASE(neg, Neg)
    GK_CASE(abs, Abs)
    GK_CASE(sign, Sign)
    GK_CASE(reciprocal, Reciprocal)
    case kOp_sqrt: return root;
    GK_CASE(round, Round)
    GK_CASE(floor, Floor)
    GK_CASE(ceil, Ceil)
    GK_CASE(exp, Exp)
    GK_CASE(log, Log)
    GK_CASE(sin, Sin)
    GK_CASE(cos, Cos)
    GK_CASE(tan, Tan)
    GK_CASE(asin, Asin)
    GK_CASE(acos, Acos)
    GK_CASE(atan, Atan)
    GK_CASE(sinh, Sinh)
    GK_CASE(cosh, Cosh)
    GK_CASE(tanh, Tanh)
    GK_CASE(asinh, Asinh)
    GK_CASE(acosh, Acosh)
    GK_CASE(atanh, Atanh)
    GK_CASE(erf, Erf)
    GK_CASE(relu, Relu)
    GK_CASE(sigmoid, Sigmoid)
    GK_CASE(silu, Silu)
    GK_CASE(quick_gelu, QuickGelu)
    GK_CASE(gelu, Gelu)
    GK_CASE(gelu_tanh, GeluTanh)
    GK_CASE(hard_sigmoid, HardSigmoid)
    GK_CASE(hard_swish, HardSwish)
    GK_CASE(leaky_relu, LeakyRelu)
    GK_CASE(elu, Elu)
    GK_CASE(celu, Celu)
    GK_CASE(selu, Selu)
    GK_CASE(softplus, Softplus)
    GK_CASE(softsign, Softsign)
    GK_CASE(mish, Mish)
    GK_CASE(thresholded_relu, ThresholdedRelu)
    GK_CASE(shrink, Shrink)
#undef GK_CASE
    default: return nullptr;
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
