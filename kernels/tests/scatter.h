// What the tests of the scatter operators share.
#pragma once

#include <cmath>
#include <limits>

#include "movement.h"

namespace movement {

inline constexpr gk_dtype kF16 = {GK_FLOAT, 16, 1};

// Numbers that all dtypes hold; sums and products of a few are exact in floats.
template <class T>
Array small_numbers(gk_dtype dtype, const std::vector<int64_t>& shape, uint32_t seed) {
  Array array(dtype, shape);
  for (int64_t i = 0; i < array.count(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    array.as<T>()[i] = static_cast<T>(seed >> 30 | 1) * static_cast<T>(seed >> 29 & 1 ? 1 : -1);
  }
  return array;
}

template <class T>
T reduced(T there, T update, const std::string& reduction) {
  if (reduction == "add") return static_cast<T>(there + update);
  if (reduction == "mul") return static_cast<T>(there * update);
  if (reduction == "max") return there > update ? there : update;
  if (reduction == "min") return there < update ? there : update;
  return update;
}

// The output may be the first input.
inline void check_in_place(const char* op, const Array& x, const std::vector<Array*>& rest, const Array& expected,
                           const Attributes& attributes) {
  for (const int32_t isa : supported_levels()) {
    Array y = x;
    std::vector<Array*> inputs = {&y};
    inputs.insert(inputs.end(), rest.begin(), rest.end());
    CHECK(run_kernel(op, inputs, {&y}, attributes, isa, nullptr) == GK_OK);
    CHECK_WITH(y.bytes == expected.bytes, std::string(op) + " in place");
  }
}

// On a vector: NaN wins against numbers from either side; halves are computed in float32 and rounded to even; bools are
// joined by or and and.
inline void check_nan_and_halves(const char* op, const std::vector<int64_t>& index_shape) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Array indices(kI64, index_shape, std::vector<int64_t>{0, 1, 2, 3, 4});
  Array x(kF32, {5}, std::vector<float>{nan, 1, 2, INFINITY, -INFINITY}),
      updates(kF32, {5}, std::vector<float>{1, nan, 3, 1, 1});
  for (const int32_t isa : supported_levels()) {
    for (const bool most : {true, false}) {
      Array y(kF32, {5});
      const Attributes attributes = Attributes().text("reduction", most ? "max" : "min");
      CHECK(run_kernel(op, {&x, &indices, &updates}, {&y}, attributes, isa, nullptr) == GK_OK);
      const float* got = y.as<float>();
      CHECK(std::isnan(got[0]) && std::isnan(got[1]) && got[2] == (most ? 3.f : 2.f));
      CHECK(got[3] == (most ? INFINITY : 1.f) && got[4] == (most ? 1.f : -INFINITY));
    }
  }
  // 1 + 2^-11 lies half-way between 1 and its successor 1 + 2^-10; 3·2^-11 half-way between the next two.
  Array half(kF16, {5}, std::vector<uint16_t>{0x3c00, 0x3c01, 0x7bff, 0x7e00, 0x0001}),
      added(kF16, {5}, std::vector<uint16_t>{0x1000, 0x1000, 0x7bff, 0x3c00, 0x0001}),
      sums(kF16, {5}, std::vector<uint16_t>{0x3c00, 0x3c02, 0x7c00, 0x7e00, 0x0002});
  check_op(op, {&half, &indices, &added}, sums, Attributes().text("reduction", "add"), "float16");
  Array brain(kBf16, {5}, std::vector<uint16_t>{0x3f80, 0x3f81, 0x7f7f, 0x7fc0, 0x4000}),
      more(kBf16, {5}, std::vector<uint16_t>{0x3b80, 0x3b80, 0x7f7f, 0x3f80, 0x4040}),
      totals(kBf16, {5}, std::vector<uint16_t>{0x3f80, 0x3f82, 0x7f80, 0x7fc0, 0x40a0});
  check_op(op, {&brain, &indices, &more}, totals, Attributes().text("reduction", "add"), "bfloat16");
  Array left(kBool, {5}, std::vector<uint8_t>{0, 0, 1, 1, 0}), right(kBool, {5}, std::vector<uint8_t>{0, 1, 0, 1, 1}),
      either(kBool, {5}, std::vector<uint8_t>{0, 1, 1, 1, 1}), both(kBool, {5}, std::vector<uint8_t>{0, 0, 0, 1, 0});
  check_op(op, {&left, &indices, &right}, either, Attributes().text("reduction", "add"), "bool");
  check_op(op, {&left, &indices, &right}, both, Attributes().text("reduction", "mul"), "bool");
}

}  // namespace movement
