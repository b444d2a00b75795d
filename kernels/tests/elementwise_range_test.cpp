// float32 functions over the whole range of float32: every sign and exponent, against double within ulps; remainders
// exactly; what overflows is infinite, what is not defined is NaN.
#include <cmath>
#include <cstring>

#include "arrays.h"

namespace {

using namespace oracle;

struct Function {
  const char* name;
  double (*exact)(double);
  double ulps;
};

const Function kFunctions[] = {
    {"exp", [](double x) { return std::exp(x); }, 1.5},
    {"log", [](double x) { return std::log(x); }, 1.5},
    {"sin", [](double x) { return std::sin(x); }, 2},
    {"cos", [](double x) { return std::cos(x); }, 2},
    {"tan", [](double x) { return std::tan(x); }, 2},
    {"asin", [](double x) { return std::asin(x); }, 2.5},
    {"acos", [](double x) { return std::acos(x); }, 2},
    {"atan", [](double x) { return std::atan(x); }, 2},
    {"sinh", [](double x) { return std::sinh(x); }, 2.5},
    {"cosh", [](double x) { return std::cosh(x); }, 2},
    {"tanh", [](double x) { return std::tanh(x); }, 2.5},
    {"asinh", [](double x) { return std::asinh(x); }, 2.5},
    {"acosh", [](double x) { return std::acosh(x); }, 2.5},
    {"atanh", [](double x) { return std::atanh(x); }, 2.5},
    {"erf", [](double x) { return std::erf(x); }, 2.5},
    {"softplus", [](double x) { return x > 40 ? x : std::log1p(std::exp(x)); }, 2.5},
};

// Bit patterns a prime apart, and the numbers at which functions change their mind.
std::vector<float> everywhere() {
  std::vector<float> values = {0.0f,  -0.0f,  1.0f,        -1.0f,       0.5f,      -0.5f,      2.0f,       kInf,  -kInf,
                               kNan,  0.92f,  0.99999994f, 1.0000001f,  88.72283f, 88.722855f, 89.41598f,  1e4f,  10001.0f,
                               1e30f, -1e30f, 0.70710677f, -0.99999994f, 89.5f,    -103.97f,   -104.0f,    1e-38f, 3.0f};
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 1048573) {
    const auto low = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &low, 4);
    // Subnormal numbers may count as zero.
    if (value == 0.0f || std::fabs(value) >= std::numeric_limits<float>::min()) values.push_back(value);
  }
  return values;
}

bool near(float got, double want, double ulps) {
  const float rounded = static_cast<float>(want);
  if (rounded != rounded) return got != got;
  if (got == rounded) return true;
  if (std::fabs(want) < static_cast<double>(std::numeric_limits<float>::min()) && got == 0.0f) return true;
  if (std::isinf(rounded) || std::isinf(got)) return false;
  return std::fabs(got - want) <= ulps * ulp_of(want);
}

// Says what failed; millions of texts that nobody reads would take longer than the functions.
void expect(bool good, int32_t isa, const char* name, float x, float result, float y = kNan) {
  if (good) return;
  CHECK_WITH(good, label(isa, std::string(name) + "(" + std::to_string(x) + ", " + std::to_string(y) + ") = " + std::to_string(result)));
}

void test_functions(int32_t isa, const std::vector<float>& in) {
  const auto n = static_cast<int64_t>(in.size());
  for (const Function& function : kFunctions) {
    std::vector<Array> inputs = {array(kF32, {n}, in)}, outputs = {array(kF32, {n}, std::vector<float>(in.size()))};
    CHECK_WITH(run_program(isa, Program().op(function.name, 1, 1, 0), inputs, outputs) == GK_OK, label(isa, function.name));
    const auto out = values_of<float>(outputs[0]);
    for (size_t i = 0; i < in.size(); ++i) {
      expect(near(out[i], function.exact(in[i]), function.ulps), isa, function.name, in[i], out[i]);
    }
  }
}

double floor_mod(double x, double y) {
  const double rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

// One operand everywhere, the other one a number, as a constant and as a tensor.
void test_pairs(int32_t isa, const std::vector<float>& in) {
  struct Pair {
    const char* name;
    double (*exact)(double, double);
    double ulps;
  };
  const Pair pairs[] = {{"pow", [](double x, double y) { return std::pow(x, y); }, 2},
                        {"fmod", [](double x, double y) { return std::fmod(x, y); }, 0},
                        {"mod", floor_mod, 0.5}};
  const auto n = static_cast<int64_t>(in.size());
  for (const Pair& pair : pairs) {
    for (const float other : {0.3f, -1.7f, 2.0f, 3.0f, 4.0f, 0.5f, -1.0f, 7.0f, -3.0f, 0.0f, 1e-3f, 100.0f, kInf, -kInf, kNan}) {
      for (const bool scalar : {true, false}) {
        std::vector<Array> inputs = {array(kF32, {n}, in), array(kF32, {scalar ? 1 : n}, std::vector<float>(scalar ? 1 : in.size(), other))};
        std::vector<Array> outputs = {array(kF32, {n}, std::vector<float>(in.size()))};
        CHECK(run_program(isa, Program().op(pair.name, 1, 2, 0, 1), inputs, outputs) == GK_OK);
        const auto out = values_of<float>(outputs[0]);
        for (size_t i = 0; i < in.size(); ++i) {
          expect(near(out[i], pair.exact(in[i], other), pair.ulps), isa, pair.name, in[i], out[i], other);
        }
      }
    }
  }
  for (const float base : {0.3f, 2.0f, -1.7f, 1.0f, 0.0f, -1.0f, 0.99999994f, 1.0000001f}) {
    std::vector<Array> inputs = {array(kF32, {1}, std::vector<float>{base}), array(kF32, {n}, in)};
    std::vector<Array> outputs = {array(kF32, {n}, std::vector<float>(in.size()))};
    CHECK(run_program(isa, Program().op("pow", 1, 2, 0, 1), inputs, outputs) == GK_OK);
    const auto out = values_of<float>(outputs[0]);
    for (size_t i = 0; i < in.size(); ++i) {
      const double want = std::pow(static_cast<double>(base), static_cast<double>(in[i]));
      expect(near(out[i], want, 1.5), isa, "pow", base, out[i], in[i]);
    }
  }
}

// Every integer quotient and remainder of bytes; the ends of int32.
void test_integers(int32_t isa) {
  std::vector<int8_t> a, b, quotients, truncated, floored;
  for (int x = -128; x < 128; x += 5) {
    for (int y = -128; y < 128; ++y) {
      a.push_back(static_cast<int8_t>(x));
      b.push_back(static_cast<int8_t>(y));
      quotients.push_back(static_cast<int8_t>(y == 0 ? 0 : x / y));
      const int rest = y == 0 ? 0 : x % y;
      truncated.push_back(static_cast<int8_t>(rest));
      floored.push_back(static_cast<int8_t>(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest));
    }
  }
  const auto n = static_cast<int64_t>(a.size());
  const std::pair<const char*, const std::vector<int8_t>*> cases[] = {{"div", &quotients}, {"fmod", &truncated}, {"mod", &floored}};
  for (const auto& [name, want] : cases) {
    std::vector<Array> inputs = {array(kI8, {n}, a), array(kI8, {n}, b)}, outputs = {array(kI8, {n}, a)};
    CHECK(run_program(isa, Program().op(name, 3, 2, 0, 1), inputs, outputs) == GK_OK);
    CHECK_WITH(values_of<int8_t>(outputs[0]) == *want, label(isa, name));
  }
  const int32_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
  const std::vector<int32_t> x = {least, least, least, most, most, -7, 7, most, least, least + 1, 5},
                             y = {-1, 1, least, -1, 2, 2, -2, most - 1, most, -1, 0};
  std::vector<int32_t> divided, rests;
  for (size_t i = 0; i < x.size(); ++i) {
    divided.push_back(y[i] == 0 ? 0 : static_cast<int32_t>(int64_t{x[i]} / y[i]));
    rests.push_back(y[i] == 0 ? 0 : static_cast<int32_t>(int64_t{x[i]} % y[i]));
  }
  const auto count = static_cast<int64_t>(x.size());
  std::vector<Array> inputs = {array(kI32, {count}, x), array(kI32, {count}, y)}, outputs = {array(kI32, {count}, x)};
  CHECK(run_program(isa, Program().op("div", 6, 2, 0, 1), inputs, outputs) == GK_OK);
  CHECK_WITH(values_of<int32_t>(outputs[0]) == divided, label(isa, "int32 div"));
  CHECK(run_program(isa, Program().op("fmod", 6, 2, 0, 1), inputs, outputs) == GK_OK);
  CHECK_WITH(values_of<int32_t>(outputs[0]) == rests, label(isa, "int32 fmod"));
}

void test_float64(int32_t isa) {
  std::vector<double> in = {0.0, -0.0, 4.0, 2.0, -8.0, HUGE_VAL, -HUGE_VAL, 1e300, 3.0, 7.25, -1.0};
  const auto n = static_cast<int64_t>(in.size());
  for (const double exponent : {2.0, 3.0, 0.5, 1.5}) {
    std::vector<Array> inputs = {array(kF64, {n}, in), array(kF64, {1}, std::vector<double>{exponent})}, outputs = {array(kF64, {n}, in)};
    CHECK(run_program(isa, Program().op("pow", 11, 2, 0, 1), inputs, outputs) == GK_OK);
    const auto out = values_of<double>(outputs[0]);
    for (size_t i = 0; i < in.size(); ++i) {
      const double want = std::pow(in[i], exponent);
      const bool good = want != want ? out[i] != out[i] : out[i] == want || std::fabs(out[i] - want) <= 4e-16 * std::fabs(want);
      CHECK_WITH(good && (want != 0 || std::signbit(out[i]) == std::signbit(want)), label(isa, std::to_string(in[i]) + "^" + std::to_string(exponent)));
    }
  }
  std::vector<Array> inputs = {array(kF64, {n}, in)}, outputs = {array(kF64, {n}, in)};
  CHECK(run_program(isa, Program().op("sqrt", 11, 1, 0), inputs, outputs) == GK_OK);
  const auto out = values_of<double>(outputs[0]);
  for (size_t i = 0; i < in.size(); ++i) {
    const double want = std::sqrt(in[i]);
    CHECK_WITH(want != want ? out[i] != out[i] : out[i] == want, label(isa, "sqrt " + std::to_string(in[i])));
  }
}

}  // namespace

void test_elementwise_range() {
  const std::vector<float> in = everywhere();
  for (const int32_t isa : supported_levels()) {
    test_functions(isa, in);
    test_pairs(isa, in);
    test_integers(isa);
    test_float64(isa);
  }
}
