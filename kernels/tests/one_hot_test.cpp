// one_hot against its definition: axes, index types, negative indices and such that match nothing.
#include <cmath>

#include "movement.h"

namespace {

using namespace movement;

template <class T>
void hots(gk_dtype index_dtype, gk_dtype dtype, const std::vector<int64_t>& shape, int64_t depth, int64_t axis) {
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t at = axis < 0 ? axis + rank + 1 : axis;
  std::vector<T> values;
  for (int64_t i = 0; i < count_of(shape); ++i) values.push_back(static_cast<T>(i * 5 % (2 * depth + 3) - depth - 1));
  Array indices(index_dtype, shape, values), levels = random_array(dtype, {2}), deep = int64s({depth});
  std::vector<int64_t> to = shape;
  to.insert(to.begin() + at, depth);
  Array expected(dtype, to);
  if (expected.count() > 0) {
    std::vector<int64_t> index(to.size(), 0);
    do {
      std::vector<int64_t> from = index;
      from.erase(from.begin() + at);
      const T value = values[static_cast<size_t>(flat_index(shape, from))];
      const int64_t d = index[static_cast<size_t>(at)];
      const bool on = value == static_cast<T>(d) || (value < 0 && value == static_cast<T>(d - depth));
      std::memcpy(expected.data() + flat_index(to, index) * levels.element(),
                  levels.data() + (on ? levels.element() : 0), static_cast<size_t>(levels.element()));
    } while (next_index(to, &index));
  }
  check_op("one_hot", {&indices, &deep, &levels}, expected, Attributes().integer("axis", axis),
           graphopt::text_of(dims_of(to)));
}

}  // namespace

void test_one_hot() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    hots<int64_t>(kI64, dtype, {7}, 5, -1);
    hots<int32_t>(kI32, dtype, {3, 4}, 6, 1);
    hots<int64_t>(kI64, dtype, {3, 4}, 6, 0);
    hots<float>(kF32, dtype, {2, 9}, 7, -2);
    hots<int8_t>(kI8, dtype, {}, 3, -1);
    hots<int64_t>(kI64, dtype, {3}, 0, -1);
    hots<int64_t>(kI64, dtype, {0}, 4, 0);
  }
  hots<int64_t>(kI64, kF32, {500}, 300, -1);
  Array depth = int64s({3}), levels(kF32, {2}, std::vector<float>{0, 1});
  Array odd(kF32, {4}, std::vector<float>{NAN, INFINITY, -INFINITY, 1e30f});
  check_op("one_hot", {&odd, &depth, &levels}, Array(kF32, {4, 3}, std::vector<float>(12, 0.f)), {}, "no numbers");
  Array large(kU64, {2}, std::vector<uint64_t>{~uint64_t{0}, 2});
  check_op("one_hot", {&large, &depth, &levels}, Array(kF32, {2, 3}, std::vector<float>{0, 0, 0, 0, 0, 1}), {}, "u64");
  Array real_depth(kF32, {}, std::vector<float>{2}), indices = int64s({1});
  check_op("one_hot", {&indices, &real_depth, &levels}, Array(kF32, {1, 2}, std::vector<float>{0, 1}), {}, "depth 2.0");
  Array negative = int64s({-1}), three(kF32, {3});
  CHECK(!shapes_of("one_hot", {&indices, &negative, &levels}).ok);
  CHECK(!shapes_of("one_hot", {&indices, &depth, &three}).ok);
  check_refused("one_hot", {&indices, &depth, &levels}, Array(kF32, {2, 3}), GK_INVALID_ARGUMENT, {}, "other dims");
}
