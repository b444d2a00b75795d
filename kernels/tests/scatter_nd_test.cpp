// scatter_nd against a loop over tuples: depths, slices, reductions, repeated tuples, in place, and indices out of range.
#include "scatter.h"

namespace {

using namespace movement;

template <class T>
void scatters(gk_dtype dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& index_shape,
              const std::string& reduction) {
  const int64_t depth = index_shape.back(), tuples = count_of(index_shape) / depth;
  std::vector<int64_t> dims(index_shape.begin(), index_shape.end() - 1);
  dims.insert(dims.end(), shape.begin() + depth, shape.end());
  const int64_t slice = count_of({shape.begin() + depth, shape.end()});
  Array x = small_numbers<T>(dtype, shape, 1), updates = small_numbers<T>(dtype, dims, 2), expected = x;
  std::vector<int64_t> values;
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t at = 0;
    for (int64_t i = 0; i < depth; ++i) {
      const int64_t dim = shape[static_cast<size_t>(i)], value = (t * 3 + i * 5) % (2 * dim) - dim;
      values.push_back(value);
      at = at * dim + (value < 0 ? value + dim : value);
    }
    for (int64_t i = 0; i < slice; ++i) {
      T& there = expected.as<T>()[at * slice + i];
      there = reduced(there, updates.as<T>()[t * slice + i], reduction);
    }
  }
  Array indices(kI64, index_shape, values);
  const Attributes attributes = Attributes().text("reduction", reduction.c_str());
  check_op("scatter_nd", {&x, &indices, &updates}, expected, attributes,
           reduction + " " + graphopt::text_of(dims_of(shape)) + " at " + graphopt::text_of(dims_of(index_shape)));
  check_in_place("scatter_nd", x, {&indices, &updates}, expected, attributes);
}

}  // namespace

void test_scatter_nd() {
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    scatters<float>(kF32, {4, 3, 5}, {7, 3}, reduction);
    scatters<float>(kF32, {4, 3, 5}, {2, 3, 2}, reduction);
    scatters<float>(kF32, {4, 3, 5}, {1}, reduction);
    scatters<int32_t>(kI32, {4, 3, 5}, {6, 1}, reduction);
    scatters<uint8_t>(kU8, {4, 3, 5}, {6, 2}, reduction);
    scatters<double>(kF64, {4, 3}, {0, 2}, reduction);
    scatters<float>(kF32, {6, 20'000}, {8, 1}, reduction);
  }
  check_nan_and_halves("scatter_nd", {5, 1});
  Array x = random_array(kF32, {3, 2}), updates = random_array(kF32, {1}, 3);
  Array high(kI64, {1, 2}, std::vector<int64_t>{0, 2}), low(kI64, {1, 2}, std::vector<int64_t>{-4, 0});
  check_refused("scatter_nd", {&x, &high, &updates}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "too high");
  check_refused("scatter_nd", {&x, &low, &updates}, Array(kF32, {3, 2}), GK_INVALID_ARGUMENT, {}, "too low");
  CHECK(!shapes_of("scatter_nd", {&x, &high, &x}).ok);
  CHECK(!shapes_of("scatter_nd", {&x, &high, &updates}, Attributes().text("reduction", "mean")).ok);
}
