// scatter_elements against a loop over the updates: axes, reductions, repeated indices, dtypes, in place, and indices out
// of range.
#include "scatter.h"

namespace {

using namespace movement;

template <class T>
void scatters(gk_dtype dtype, const std::vector<int64_t>& shape, int64_t axis, const std::vector<int64_t>& index_shape,
              const std::string& reduction) {
  const auto rank = static_cast<int64_t>(shape.size());
  const size_t at = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  const int64_t dim = shape[at];
  Array x = small_numbers<T>(dtype, shape, 1), updates = small_numbers<T>(dtype, index_shape, 2);
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count_of(index_shape); ++i) values.push_back(i * 5 % (2 * dim) - dim);
  Array indices(kI64, index_shape, values), expected = x;
  if (indices.count() > 0) {
    std::vector<int64_t> index(shape.size(), 0);
    do {
      const int64_t flat = flat_index(index_shape, index), value = values[static_cast<size_t>(flat)];
      std::vector<int64_t> to = index;
      to[at] = value < 0 ? value + dim : value;
      T& there = expected.as<T>()[flat_index(shape, to)];
      there = reduced(there, updates.as<T>()[flat], reduction);
    } while (next_index(index_shape, &index));
  }
  const Attributes attributes = Attributes().integer("axis", axis).text("reduction", reduction.c_str());
  check_op("scatter_elements", {&x, &indices, &updates}, expected, attributes,
           reduction + " axis " + std::to_string(axis) + " of " + graphopt::text_of(dims_of(shape)));
  check_in_place("scatter_elements", x, {&indices, &updates}, expected, attributes);
}

}  // namespace

void test_scatter_elements() {
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    scatters<float>(kF32, {5, 3, 4}, 0, {7, 3, 2}, reduction);
    scatters<float>(kF32, {5, 3, 4}, 1, {4, 9, 4}, reduction);
    scatters<float>(kF32, {5, 3, 4}, -1, {5, 2, 13}, reduction);
    scatters<double>(kF64, {9}, 0, {20}, reduction);
    scatters<int64_t>(kI64, {3, 4}, 1, {3, 5}, reduction);
    scatters<int8_t>(kI8, {3, 4}, 1, {3, 5}, reduction);
    scatters<uint16_t>(kU16, {3, 4}, 0, {3, 4}, reduction);
    scatters<float>(kF32, {3, 2}, 0, {0, 2}, reduction);
    scatters<float>(kF32, {60, 300}, 1, {60, 400}, reduction);
  }
  check_nan_and_halves("scatter_elements", {5});
  Array x = random_array(kF32, {3, 2}), updates = random_array(kF32, {1, 2}, 3);
  Array high(kI64, {1, 2}, std::vector<int64_t>{0, 3}), low(kI64, {1, 2}, std::vector<int64_t>{-4, 0});
  check_refused("scatter_elements", {&x, &high, &updates}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "too high");
  check_refused("scatter_elements", {&x, &low, &updates}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "too low");
  const Attributes unknown = Attributes().text("reduction", "mean");
  check_refused("scatter_elements", {&x, &high, &updates}, Array(kF32, {3, 2}), GK_UNSUPPORTED, unknown, "");
  CHECK(!shapes_of("scatter_elements", {&x, &high, &updates}, unknown).ok);
  CHECK(!shapes_of("scatter_elements", {&x, &high, &x}).ok);
}
