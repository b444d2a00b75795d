// reverse_sequence: both orders of the axes, slices behind them, lengths out of range.
#include "movement.h"

namespace {

using namespace movement;

void reverses(gk_dtype dtype, const std::vector<int64_t>& shape, bool time_first, const std::vector<int64_t>& lens) {
  Array x = random_array(dtype, shape), lengths = int64s(lens), expected(dtype, shape);
  if (expected.count() > 0) {
    std::vector<int64_t> index(shape.size(), 0);
    do {
      std::vector<int64_t> from = index;
      const int64_t length = lens[static_cast<size_t>(index[time_first ? 1 : 0])];
      int64_t& t = from[time_first ? 0 : 1];
      if (t < length) t = length - 1 - t;
      std::memcpy(expected.data() + flat_index(shape, index) * x.element(),
                  x.data() + flat_index(shape, from) * x.element(), static_cast<size_t>(x.element()));
    } while (next_index(shape, &index));
  }
  const Attributes attributes =
      time_first ? Attributes() : Attributes().integer("batch_axis", 0).integer("time_axis", 1);
  check_op("reverse_sequence", {&x, &lengths}, expected, attributes, graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_reverse_sequence() {
  for (const gk_dtype dtype : {kU8, kF32, kF64}) {
    reverses(dtype, {4, 4}, true, {4, 3, 2, 1});
    reverses(dtype, {4, 4}, false, {1, 2, 3, 4});
    reverses(dtype, {5, 3, 2, 7}, true, {0, 5, 3});
    reverses(dtype, {3, 0, 2}, false, {0, 0, 0});
  }
  reverses(kF32, {40, 50, 33}, false, std::vector<int64_t>(40, 49));
  Array x = random_array(kF32, {4, 2}), long_one = int64s({5, 1}), negative = int64s({-1, 1}), three = int64s({1, 1, 1});
  check_refused("reverse_sequence", {&x, &long_one}, Array(kF32, {4, 2}), GK_INVALID_ARGUMENT, {}, "too long");
  check_refused("reverse_sequence", {&x, &negative}, Array(kF32, {4, 2}), GK_INVALID_ARGUMENT, {}, "negative");
  CHECK(!shapes_of("reverse_sequence", {&x, &three}).ok);
  CHECK(!shapes_of("reverse_sequence", {&x, &long_one}, Attributes().integer("time_axis", 1)).ok);
}
