// eye_like: diagonals inside and outside, every dtype's one.
#include "movement.h"

namespace {

using namespace movement;

template <class T>
void eyes(gk_dtype dtype, int64_t number, T one, int64_t rows, int64_t columns, int64_t k) {
  Array x(kU16, {rows, columns}), expected(dtype, {rows, columns}, std::vector<T>(static_cast<size_t>(rows * columns), T{}));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      if (j - i == k) expected.as<T>()[i * columns + j] = one;
    }
  }
  check_op("eye_like", {&x}, expected, Attributes().integer("dtype", number).integer("k", k), std::to_string(number));
}

}  // namespace

void test_eye_like() {
  eyes<float>(kF32, 1, 1.f, 4, 5, 0);
  eyes<uint16_t>({GK_FLOAT, 16, 1}, 10, 0x3c00, 4, 5, 2);
  eyes<double>(kF64, 11, 1, 5, 3, -1);
  eyes<uint16_t>(kBf16, 16, 0x3f80, 3, 3, 0);
  eyes<int64_t>(kI64, 7, 1, 3, 3, -2);
  eyes<uint8_t>(kBool, 9, 1, 3, 4, 3);
  for (const int64_t k : {int64_t{4}, int64_t{-3}, INT64_MAX, INT64_MIN}) {
    Array x(kF32, {3, 4}), zeros(kF32, {3, 4}, std::vector<float>(12, 0.f));
    check_op("eye_like", {&x}, zeros, Attributes().integer("k", k), "outside");
  }
  Array x(kI64, {2, 2}), same(kI64, {2, 2}, std::vector<int64_t>{1, 0, 0, 1}), empty(kF32, {0, 3}), flat(kF32, {3});
  check_op("eye_like", {&x}, same);
  check_op("eye_like", {&empty}, empty);
  CHECK(!shapes_of("eye_like", {&flat}).ok);
  CHECK(!shapes_of("eye_like", {&x}, Attributes().integer("dtype", 8)).ok);
  check_refused("eye_like", {&x}, Array(kF32, {2, 3}), GK_INVALID_ARGUMENT, {}, "other dims");
}
