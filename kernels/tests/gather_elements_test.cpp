// gather_elements against a loop over indices: axes, ranks, fewer indices than elements, and indices out of range.
#include "movement.h"

namespace {

using namespace movement;

template <class T>
void gathers(gk_dtype dtype, const std::vector<int64_t>& shape, int64_t axis, const std::vector<int64_t>& index_shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  const size_t at = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  const int64_t dim = shape[at];
  Array x = random_array(dtype, shape);
  std::vector<T> values;
  for (int64_t i = 0; i < count_of(index_shape); ++i) values.push_back(static_cast<T>(i * 5 % (2 * dim) - dim));
  Array indices(sizeof(T) == 8 ? kI64 : kI32, index_shape, values), expected(dtype, index_shape);
  if (expected.count() > 0) {
    std::vector<int64_t> index(shape.size(), 0);
    do {
      const int64_t flat = flat_index(index_shape, index);
      const T value = values[static_cast<size_t>(flat)];
      std::vector<int64_t> from = index;
      from[at] = value < 0 ? value + dim : value;
      std::memcpy(expected.data() + flat * x.element(), x.data() + flat_index(shape, from) * x.element(),
                  static_cast<size_t>(x.element()));
    } while (next_index(index_shape, &index));
  }
  check_op("gather_elements", {&x, &indices}, expected, Attributes().integer("axis", axis),
           "axis " + std::to_string(axis) + " of " + graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_gather_elements() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    gathers<int64_t>(dtype, {5, 3, 4}, 0, {7, 3, 4});
    gathers<int64_t>(dtype, {5, 3, 4}, 1, {4, 9, 2});
    gathers<int32_t>(dtype, {5, 3, 4}, -1, {5, 2, 13});
    gathers<int32_t>(dtype, {9}, 0, {20});
    gathers<int64_t>(dtype, {3, 2}, 1, {0, 5});
  }
  gathers<int64_t>(kF32, {70, 300}, 1, {70, 333});
  gathers<int64_t>(kF32, {300, 70}, 0, {333, 70});

  Array x = random_array(kF32, {3, 2}), high(kI64, {1, 2}, std::vector<int64_t>{0, 3});
  Array low(kI64, {1, 2}, std::vector<int64_t>{-4, 0}), wide(kI64, {1, 3}, std::vector<int64_t>{0, 0, 0});
  check_refused("gather_elements", {&x, &high}, Array(kF32, {1, 2}), GK_INVALID_ARGUMENT, {}, "index too high");
  check_refused("gather_elements", {&x, &low}, Array(kF32, {1, 2}), GK_INVALID_ARGUMENT, {}, "index too low");
  check_refused("gather_elements", {&x, &wide}, Array(kF32, {1, 3}), GK_INVALID_ARGUMENT, {}, "reaches beyond x");
  CHECK(!shapes_of("gather_elements", {&x, &wide}).ok);
  CHECK(!shapes_of("gather_elements", {&x, &high}, Attributes().integer("axis", -3)).ok);
  Array flat = int64s({0});
  CHECK(!shapes_of("gather_elements", {&x, &flat}).ok);
}
