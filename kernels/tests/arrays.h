// Arrays, elementwise programs and attributes for tests that compare kernels with a scalar oracle.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "check.h"
#include "cpu/lib/elementwise/opcodes.h"

namespace oracle {

inline constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

// A tensor that owns its memory; strides may be any.
struct Array {
  gk_dtype dtype = kF32;
  std::vector<int64_t> shape, strides;
  std::vector<unsigned char> bytes;

  gk_tensor tensor() {
    return {bytes.data(), {GK_CPU, 0}, static_cast<int32_t>(shape.size()), dtype, shape.data(),
            strides.empty() ? nullptr : strides.data(), 0};
  }
};

inline int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

template <class T>
Array array(gk_dtype dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  Array a{dtype, shape, {}, std::vector<unsigned char>(values.size() * sizeof(T) + 1)};
  if (!values.empty()) std::memcpy(a.bytes.data(), values.data(), values.size() * sizeof(T));
  return a;
}

inline Array random_f32(std::vector<int64_t> shape, float low, float high, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(static_cast<size_t>(count_of(shape)));
  for (float& v : values) v = uniform(random);
  return array(kF32, shape, values);
}

template <class T>
std::vector<T> values_of(const Array& a) {
  std::vector<T> values(static_cast<size_t>(count_of(a.shape)));
  if (!values.empty()) std::memcpy(values.data(), a.bytes.data(), values.size() * sizeof(T));
  return values;
}

// Offset of the element of `a` that belongs to flat index `flat` of the broadcast shape.
inline int64_t offset_in(const Array& a, const std::vector<int64_t>& shape, int64_t flat) {
  std::vector<int64_t> strides = a.strides;
  if (strides.empty()) {
    strides.assign(a.shape.size(), 1);
    for (size_t d = a.shape.size(); d-- > 1;) strides[d - 1] = strides[d] * a.shape[d];
  }
  int64_t offset = 0;
  const size_t shift = shape.size() - a.shape.size();
  for (size_t d = shape.size(); d-- > 0;) {
    const int64_t index = flat % shape[d];
    flat /= shape[d];
    if (d >= shift && a.shape[d - shift] != 1) offset += index * strides[d - shift];
  }
  return offset;
}

struct Program {
  std::vector<int64_t> code, results = {0};
  std::vector<double> constants;

  Program& op(const char* name, int64_t dtype, int64_t dst, int64_t a, int64_t b = -1, int64_t c = -1) {
    code.insert(code.end(), {graphopt::opcode_number(name), dtype, dst, a, b, c});
    results = {dst};
    return *this;
  }
};

inline gk_attribute ints(const char* name, const std::vector<int64_t>& values) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_INTS, static_cast<int32_t>(values.size()), {0}};
  attribute.value.ints = values.data();
  return attribute;
}

inline gk_attribute floats(const char* name, const std::vector<double>& values) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_FLOATS, static_cast<int32_t>(values.size()), {0}};
  attribute.value.floats = values.data();
  return attribute;
}

inline int run_program(int32_t isa, const Program& program, std::vector<Array>& inputs, std::vector<Array>& outputs,
        const gk_parallel* parallel = nullptr) {
  Call call;
  for (Array& input : inputs) call.inputs.push_back(input.tensor());
  for (Array& output : outputs) call.outputs.push_back(output.tensor());
  call.attributes = {ints("program", program.code), floats("constants", program.constants),
                     ints("results", program.results)};
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  return gk_run_kernel("elementwise", call.get());
}

inline std::string label(int32_t isa, const std::string& what) { return std::string(gk_isa_name(isa)) + " " + what; }


inline gk_attribute text(const char* name, const char* value) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_STRING, static_cast<int32_t>(std::strlen(value)), {0}};
  attribute.value.s = value;
  return attribute;
}

inline gk_attribute integer(const char* name, int64_t value) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_INT, 1, {0}};
  attribute.value.i = value;
  return attribute;
}

inline constexpr gk_dtype kI32 = {GK_INT, 32, 1}, kU32 = {GK_UINT, 32, 1}, kI16 = {GK_INT, 16, 1}, kF16 = {GK_FLOAT, 16, 1},
                          kBool8 = {GK_BOOL, 8, 1};

// The spacing of float32 at a value.
inline double ulp_of(double value) { return std::ldexp(1.0, std::max(std::ilogb(value), -126) - 23); }

}  // namespace oracle
