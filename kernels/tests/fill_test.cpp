// fill: shapes, element sizes and the value that is 0 by default.
#include "movement.h"

namespace {

using namespace movement;

void fills(gk_dtype dtype, const std::vector<int64_t>& shape) {
  Array dims = int64s(shape), value = random_array(dtype, {1}), expected(dtype, shape);
  for (int64_t i = 0; i < expected.count(); ++i) {
    std::memcpy(expected.data() + i * value.element(), value.data(), static_cast<size_t>(value.element()));
  }
  check_op("fill", {&dims, &value}, expected, {}, graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_fill() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    fills(dtype, {});
    fills(dtype, {3});
    fills(dtype, {2, 7, 5});
    fills(dtype, {2, 0});
    fills(dtype, {70'001});
  }
  Array dims = int64s({2, 3}), negative = int64s({2, -3}), two(kF32, {2});
  check_op("fill", {&dims}, Array(kF32, {2, 3}, std::vector<float>(6, 0.f)));
  CHECK(!shapes_of("fill", {&negative}).ok);
  CHECK(!shapes_of("fill", {&dims, &two}).ok);
  Array huge = int64s({int64_t{1} << 40, int64_t{1} << 40});
  CHECK(!shapes_of("fill", {&huge}).ok);
  check_refused("fill", {&dims}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "other dims");
  check_refused("fill", {&dims}, Array(kI64, {2, 3}), GK_INVALID_ARGUMENT, {}, "no value, no float32");
}
