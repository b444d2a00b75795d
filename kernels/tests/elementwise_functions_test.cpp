// Every instruction of elementwise, each dtype: float32 functions against double within their ulps, the others exactly.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "arrays.h"

namespace {

using namespace oracle;

// ---- float32 functions ----

struct Function {
  const char* name;
  double (*exact)(double);
  float low, high;
  double ulps;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return x > 40 ? x : std::log1p(std::exp(x)); }
double round_even(double x) { return std::nearbyint(x); }

const Function kFunctions[] = {
    {"neg", [](double x) { return -x; }, -9, 9, 0},
    {"abs", [](double x) { return std::fabs(x); }, -9, 9, 0},
    {"sign", [](double x) { return x > 0 ? 1. : x < 0 ? -1. : x; }, -9, 9, 0},
    {"reciprocal", [](double x) { return 1 / x; }, -9, 9, 1},
    {"sqrt", [](double x) { return std::sqrt(x); }, -1, 9, 1},
    {"round", round_even, -9, 9, 0},
    {"floor", [](double x) { return std::floor(x); }, -9, 9, 0},
    {"ceil", [](double x) { return std::ceil(x); }, -9, 9, 0},
    {"identity", [](double x) { return x; }, -9, 9, 0},
    {"exp", [](double x) { return std::exp(x); }, -104, 90, 2.5},
    {"log", [](double x) { return std::log(x); }, -1, 9, 2.5},
    {"sin", [](double x) { return std::sin(x); }, -3e5f, 3e5f, 2.5},
    {"cos", [](double x) { return std::cos(x); }, -2e6f, 2e6f, 2.5},
    {"tan", [](double x) { return std::tan(x); }, -2, 2, 2.5},
    {"asin", [](double x) { return std::asin(x); }, -1, 1, 2.5},
    {"acos", [](double x) { return std::acos(x); }, -1, 1, 2.5},
    {"atan", [](double x) { return std::atan(x); }, -9, 9, 2.5},
    {"sinh", [](double x) { return std::sinh(x); }, -9, 9, 2.5},
    {"cosh", [](double x) { return std::cosh(x); }, -9, 9, 2.5},
    {"tanh", [](double x) { return std::tanh(x); }, -12, 12, 2.5},
    {"asinh", [](double x) { return std::asinh(x); }, -9, 9, 2.5},
    {"acosh", [](double x) { return std::acosh(x); }, 1, 9, 2.5},
    {"atanh", [](double x) { return std::atanh(x); }, -1, 1, 2.5},
    {"erf", [](double x) { return std::erf(x); }, -5, 5, 2.5},
    {"relu", [](double x) { return x > 0 ? x : x != x ? x : 0.; }, -9, 9, 0},
    {"sigmoid", sigmoid, -80, 40, 2.5},
    {"silu", [](double x) { return x * sigmoid(x); }, -60, 60, 2.5},
    {"gelu", [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }, -0.5, 9, 2.5},
    {"hard_swish", [](double x) { return x * std::fmin(1, std::fmax(0, x / 6 + 0.5)); }, -1.5, 9, 3},
    {"softplus", softplus, -60, 60, 2.5},
    {"softsign", [](double x) { return x / (1 + std::fabs(x)); }, -9, 9, 2.5},
    {"mish", [](double x) { return x * std::tanh(softplus(x)); }, -20, 60, 4.5},
};

bool near(float got, double want, double ulps) {
  const float rounded = static_cast<float>(want);
  if (rounded != rounded) return got != got;
  if (got == rounded) return true;
  if (std::isinf(rounded) || std::isinf(got)) return false;
  return std::fabs(got - want) <= std::max(ulps, 0.5) * ulp_of(want);
}

void test_functions(int32_t isa) {
  for (const Function& function : kFunctions) {
    Array x = random_f32({2011}, function.low, function.high, 5);
    const float special[] = {0.0f, -0.0f, kInf, -kInf, kNan, 1.0f, -1.0f, 0.5f, -0.5f, 1.5f, 2.5f, 1e-30f, 3e38f, -3e38f};
    std::memcpy(x.bytes.data(), special, sizeof special);
    std::vector<Array> inputs = {x}, outputs = {array(kF32, {2011}, std::vector<float>(2011))};
    CHECK_WITH(run_program(isa, Program().op(function.name, 1, 1, 0), inputs, outputs) == GK_OK, label(isa, function.name));
    const std::vector<float> in = values_of<float>(x), out = values_of<float>(outputs[0]);
    for (size_t i = 0; i < in.size(); ++i) {
      double want = function.exact(in[i]);
      const bool tail = in[i] < function.low || in[i] > function.high;
      if (tail && std::isfinite(in[i])) continue;
      if (std::isinf(in[i]) && want != want && function.ulps > 0) continue;  // the limit or NaN
      CHECK_WITH(near(out[i], want, function.ulps),
                 label(isa, std::string(function.name) + "(" + std::to_string(in[i]) + ") = " + std::to_string(out[i])));
    }
  }
}

// ---- parameters, pairs, NaN ----

struct Pair {
  const char* name;
  double (*exact)(double x, double y, double z);
};

double max_nan(double x, double y) { return x != x || y != y ? NAN : std::fmax(x, y); }
double min_nan(double x, double y) { return x != x || y != y ? NAN : std::fmin(x, y); }

const Pair kPairs[] = {
    {"add", [](double x, double y, double) { return x + y; }},
    {"sub", [](double x, double y, double) { return x - y; }},
    {"mul", [](double x, double y, double) { return x * y; }},
    {"div", [](double x, double y, double) { return x / y; }},
    {"pow", [](double x, double y, double) { return std::pow(x, y); }},
    {"min", [](double x, double y, double) { return min_nan(x, y); }},
    {"max", [](double x, double y, double) { return max_nan(x, y); }},
    {"fmod", [](double x, double y, double) { return std::fmod(x, y); }},
    {"mod", [](double x, double y, double) { const double r = std::fmod(x, y); return r != 0 && (r < 0) != (y < 0) ? r + y : r; }},
    {"prelu", [](double x, double y, double) { return x < 0 ? x * y : x; }},
    {"leaky_relu", [](double x, double y, double) { return x < 0 ? x * y : x; }},
    {"quick_gelu", [](double x, double y, double) { return x / (1 + std::exp(-x * y)); }},
    {"elu", [](double x, double y, double) { return x < 0 ? y * std::expm1(x) : x; }},
    {"celu", [](double x, double y, double) { return std::fmax(0, x) + std::fmin(0, y * std::expm1(x / y)); }},
    {"thresholded_relu", [](double x, double y, double) { return x > y ? x : 0.; }},
    {"mul_add", [](double x, double y, double z) { return x * y + z; }},
    {"clip", [](double x, double y, double z) { return x != x ? x : std::fmin(std::fmax(x, y), z); }},
    {"hard_sigmoid", [](double x, double y, double z) { return std::fmin(1, std::fmax(0, x * y + z)); }},
    {"selu", [](double x, double y, double z) { return z * (x > 0 ? x : y * std::expm1(x)); }},
    {"shrink", [](double x, double y, double z) { return x < -z ? x + y : x > z ? x - y : 0.; }},
    {"gelu_tanh", [](double x, double, double) { return x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)); }},
};

void test_pairs(int32_t isa) {
  for (const Pair& pair : kPairs) {
    for (const bool scalar : {false, true}) {
      Array x = random_f32({301}, -3, 3, 11), y = random_f32({scalar ? 1 : 301}, 0.25f, 2, 12),
            z = random_f32({scalar ? 1 : 301}, 0.25f, 1, 13);
      const float special[] = {0.0f, -1.0f, 2.0f, -2.0f, 1.0f};
      std::memcpy(x.bytes.data(), special, sizeof special);
      std::vector<Array> inputs = {x, y, z}, outputs = {array(kF32, {301}, std::vector<float>(301))};
      CHECK_WITH(run_program(isa, Program().op(pair.name, 1, 3, 0, 1, 2), inputs, outputs) == GK_OK, label(isa, pair.name));
      const auto a = values_of<float>(x), b = values_of<float>(y), c = values_of<float>(z), out = values_of<float>(outputs[0]);
      for (size_t i = 0; i < a.size(); ++i) {
        const double yi = b[scalar ? 0 : i], zi = c[scalar ? 0 : i], want = pair.exact(a[i], yi, zi);
        const double scale = 4 * 6e-8 * (std::fabs(a[i]) * (1 + std::fabs(yi)) + std::fabs(zi) + 1);
        const bool good = want != want ? out[i] != out[i] : std::fabs(out[i] - want) <= scale + 3 * ulp_of(want);
        CHECK_WITH(good, label(isa, std::string(pair.name) + std::to_string(a[i]) + "," + std::to_string(yi)));
      }
    }
  }
  for (const char* name : {"min", "max", "relu", "clip"}) {  // NaN stays, from either side
    std::vector<Array> inputs = {array(kF32, {4}, std::vector<float>{kNan, 1, kNan, 2}),
                                 array(kF32, {4}, std::vector<float>{1, kNan, kNan, 3}),
                                 array(kF32, {1}, std::vector<float>{5})};
    std::vector<Array> outputs = {array(kF32, {4}, std::vector<float>(4))};
    CHECK(run_program(isa, Program().op(name, 1, 3, 0, 1, 2), inputs, outputs) == GK_OK);
    const auto out = values_of<float>(outputs[0]);
    CHECK_WITH(out[0] != out[0] && out[2] != out[2] && out[3] == out[3], label(isa, name));
    if (name[0] == 'm') CHECK_WITH(out[1] != out[1], label(isa, name));
  }
}

// ---- other dtypes ----

template <class T, class R>
void expect(int32_t isa, const char* name, int64_t dtype, gk_dtype in, gk_dtype out, const std::vector<T>& a,
            const std::type_identity_t<std::vector<T>>& b, const std::vector<R>& want) {
  const auto n = static_cast<int64_t>(a.size());
  std::vector<Array> inputs = {array(in, {n}, a)}, outputs = {array(out, {n}, std::vector<R>(a.size()))};
  if (!b.empty()) inputs.push_back(array(in, {static_cast<int64_t>(b.size())}, b));
  const int64_t dst = static_cast<int64_t>(inputs.size());
  CHECK_WITH(run_program(isa, Program().op(name, dtype, dst, 0, 1), inputs, outputs) == GK_OK, label(isa, name));
  CHECK_WITH(values_of<R>(outputs[0]) == want, label(isa, name));
}

void test_integers(int32_t isa) {
  using I = std::vector<int64_t>;
  using Bytes = std::vector<uint8_t>;
  const int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  const I a = {7, -7, 7, -7, 0, least, 5}, b = {2, 2, -2, -2, 3, -1, 0};
  expect<int64_t>(isa, "div", 7, kI64, kI64, a, b, I{3, -3, -3, 3, 0, least, 0});
  expect<int64_t>(isa, "mod", 7, kI64, kI64, a, b, I{1, 1, -1, -1, 0, 0, 0});
  expect<int64_t>(isa, "fmod", 7, kI64, kI64, a, b, I{1, -1, 1, -1, 0, 0, 0});
  expect<int64_t>(isa, "add", 7, kI64, kI64, {most, 1}, {1, 2}, I{least, 3});
  expect<int64_t>(isa, "mul", 7, kI64, kI64, {most, -3}, {2, 2}, I{-2, -6});
  expect<int64_t>(isa, "pow", 7, kI64, kI64, {2, -2, 2, 1, 0}, {10, 3, -1, -5, 0}, I{1024, -8, 0, 1, 1});
  expect<int64_t>(isa, "max", 7, kI64, kI64, {most, -3}, {2, 2}, I{most, 2});
  expect<int64_t>(isa, "neg", 7, kI64, kI64, {least, 3}, {}, I{least, -3});
  expect<int64_t>(isa, "abs", 7, kI64, kI64, {least, -3}, {}, I{least, 3});
  expect<int64_t>(isa, "sign", 7, kI64, kI64, {least, 0, 9}, {}, I{-1, 0, 1});
  expect<int64_t>(isa, "less", 7, kI64, kBool8, {1, 2, 3}, {2}, Bytes{1, 0, 0});
  expect<int64_t>(isa, "equal", 7, kI64, kBool8, {1, 2, 3}, {2}, Bytes{0, 1, 0});
  expect(isa, "greater_or_equal", 2, kU8, kBool8, Bytes{200, 2, 3}, Bytes{100}, Bytes{1, 0, 0});
  expect(isa, "add", 2, kU8, kU8, Bytes{200, 2}, Bytes{100}, Bytes{44, 102});
  expect(isa, "div", 3, kI8, kI8, std::vector<int8_t>{-128, 7}, std::vector<int8_t>{-1, 2}, std::vector<int8_t>{-128, 3});
  expect(isa, "bit_shift_left", 2, kU8, kU8, Bytes{1, 3, 255}, Bytes{7, 1, 8}, Bytes{128, 6, 0});
  expect(isa, "bit_shift_right", 12, kU32, kU32, std::vector<uint32_t>{1u << 31, 3, 5}, std::vector<uint32_t>{31, 1, 40},
         std::vector<uint32_t>{1, 1, 0});
  expect(isa, "bitwise_and", 6, kI32, kI32, std::vector<int32_t>{-1, 12}, std::vector<int32_t>{5, 10}, std::vector<int32_t>{5, 8});
  expect(isa, "bitwise_xor", 6, kI32, kI32, std::vector<int32_t>{-1, 12}, std::vector<int32_t>{5, 10}, std::vector<int32_t>{-6, 6});
  expect(isa, "bitwise_not", 2, kU8, kU8, Bytes{0, 1}, {}, Bytes{255, 254});
  expect(isa, "and", 9, kBool8, kBool8, Bytes{1, 1, 0}, Bytes{1, 0, 1}, Bytes{1, 0, 0});
  expect(isa, "xor", 9, kBool8, kBool8, Bytes{1, 1, 0}, Bytes{1, 0, 1}, Bytes{0, 1, 1});
  expect(isa, "not", 9, kBool8, kBool8, Bytes{1, 0}, {}, Bytes{0, 1});
  expect(isa, "mul", 5, kI16, kI16, std::vector<int16_t>{300, -3}, std::vector<int16_t>{300, 5}, std::vector<int16_t>{24464, -15});
  expect(isa, "is_nan", 1, kF32, kBool8, std::vector<float>{1, kNan, kInf}, {}, Bytes{0, 1, 0});
  expect(isa, "is_inf", 1, kF32, kBool8, std::vector<float>{-kInf, kNan, kInf}, {}, Bytes{1, 0, 1});
  expect(isa, "is_inf_positive", 11, kF64, kBool8, std::vector<double>{-kInf, kNan, kInf}, {}, Bytes{0, 0, 1});
  expect(isa, "tanh", 11, kF64, kF64, std::vector<double>{0.5}, {}, std::vector<double>{std::tanh(0.5)});
  // 1.0 + 2^-10 and a tie to even; 1 / 3.
  expect(isa, "add", 10, kF16, kF16, std::vector<uint16_t>{0x3c00, 0x3c01}, std::vector<uint16_t>{0x1400}, std::vector<uint16_t>{0x3c01, 0x3c02});
  expect(isa, "add", 10, kF16, kF16, std::vector<uint16_t>{0x3c00, 0x3c01}, std::vector<uint16_t>{0x1000}, std::vector<uint16_t>{0x3c00, 0x3c02});
  expect(isa, "reciprocal", 16, kBf16, kBf16, std::vector<uint16_t>{0x4040}, {}, std::vector<uint16_t>{0x3eab});
  expect(isa, "less", 10, kF16, kBool8, std::vector<uint16_t>{0x3c00, 0xbc00}, std::vector<uint16_t>{0x0000}, Bytes{0, 1});
}

template <class A, class B>
void casts(int32_t isa, int64_t from, int64_t to, gk_dtype in, gk_dtype out, const std::vector<A>& a, const std::vector<B>& want) {
  const auto n = static_cast<int64_t>(a.size());
  std::vector<Array> inputs = {array(in, {n}, a)}, outputs = {array(out, {n}, std::vector<B>(a.size()))};
  CHECK(run_program(isa, Program().op("cast", from, 1, 0, -1, to), inputs, outputs) == GK_OK);
  CHECK_WITH(values_of<B>(outputs[0]) == want, label(isa, std::to_string(from) + " to " + std::to_string(to)));
}

void test_casts(int32_t isa) {
  using F = std::vector<float>;
  casts(isa, 1, 7, kF32, kI64, F{1.9f, -1.9f, 3e9f}, std::vector<int64_t>{1, -1, 3'000'000'000});
  casts(isa, 1, 6, kF32, kI32, F{1.9f, -1.9f, 0}, std::vector<int32_t>{1, -1, 0});
  casts(isa, 1, 2, kF32, kU8, F{1.9f, 255.5f, 0}, std::vector<uint8_t>{1, 255, 0});
  casts(isa, 1, 9, kF32, kBool8, F{0.5f, -0.0f, kNan}, std::vector<uint8_t>{1, 0, 1});
  casts(isa, 9, 1, kBool8, kF32, std::vector<uint8_t>{1, 0}, F{1, 0});
  casts(isa, 7, 1, kI64, kF32, std::vector<int64_t>{-3, 1LL << 40}, F{-3, 1099511627776.0f});
  casts(isa, 13, 1, kU64, kF32, std::vector<uint64_t>{~0ull}, F{18446744073709551616.0f});
  casts(isa, 1, 13, kF32, kU64, F{1e19f, 5}, std::vector<uint64_t>{9999999980506447872ull, 5});
  casts(isa, 1, 10, kF32, kF16, F{1.0f, 65519.f, 65520.f, 6e-8f, 2e-8f, -1e-5f, kInf, 0.1f},
        std::vector<uint16_t>{0x3c00, 0x7bff, 0x7c00, 0x0001, 0x0000, 0x80a8, 0x7c00, 0x2e66});
  casts(isa, 10, 1, kF16, kF32, std::vector<uint16_t>{0x3c00, 0x7bff, 0x7c00, 0x0001, 0x83ff}, F{1, 65504, kInf, 5.9604645e-8f, -6.097555e-5f});
  casts(isa, 1, 16, kF32, kBf16, F{1.0f, 1.00390625f, 1.01171875f, kInf}, std::vector<uint16_t>{0x3f80, 0x3f80, 0x3f82, 0x7f80});
  casts(isa, 11, 10, kF64, kF16, std::vector<double>{1.0 + 0.00048828125 + 1e-12, 1.0 + 0.00048828125}, std::vector<uint16_t>{0x3c01, 0x3c00});
  // Every half there is survives the way to float32 and back.
  std::vector<uint16_t> halves;
  for (uint32_t h = 0; h < 0x10000; ++h) {
    if ((h & 0x7fff) <= 0x7c00) halves.push_back(static_cast<uint16_t>(h));
  }
  const auto n = static_cast<int64_t>(halves.size());
  std::vector<Array> inputs = {array(kF16, {n}, halves)}, outputs = {array(kF16, {n}, halves)};
  CHECK(run_program(isa, Program().op("cast", 10, 1, 0, -1, 1).op("cast", 1, 2, 1, -1, 10), inputs, outputs) == GK_OK);
  CHECK_WITH(values_of<uint16_t>(outputs[0]) == halves, label(isa, "halves"));
}

}  // namespace

void test_elementwise_functions() {
  for (const int32_t isa : supported_levels()) {
    test_functions(isa);
    test_pairs(isa);
    test_integers(isa);
    test_casts(isa);
  }
}
