// gather_nd against a loop over tuples: depths, batches, slices, and indices out of range.
#include "movement.h"

namespace {

using namespace movement;

template <class T>
void gathers(gk_dtype dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& index_shape, int64_t batch) {
  Array x = random_array(dtype, shape);
  const int64_t depth = index_shape.back(), tuples = depth == 0 ? 0 : count_of(index_shape) / depth;
  std::vector<int64_t> to(index_shape.begin(), index_shape.end() - 1);
  to.insert(to.end(), shape.begin() + batch + depth, shape.end());
  const int64_t slice = count_of({shape.begin() + batch + depth, shape.end()}) * x.element();
  const int64_t per_batch = count_of({index_shape.begin() + batch, index_shape.end() - 1});
  std::vector<T> values;
  Array expected(dtype, to);
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t at = batch == 0 || per_batch == 0 ? 0 : t / per_batch;
    for (int64_t i = 0; i < depth; ++i) {
      const int64_t dim = shape[static_cast<size_t>(batch + i)], value = (t * 3 + i * 5) % (2 * dim) - dim;
      values.push_back(static_cast<T>(value));
      at = at * dim + (value < 0 ? value + dim : value);
    }
    std::memcpy(expected.data() + t * slice, x.data() + at * slice, static_cast<size_t>(slice));
  }
  Array indices(sizeof(T) == 8 ? kI64 : kI32, index_shape, values);
  check_op("gather_nd", {&x, &indices}, expected, Attributes().integer("batch_dims", batch),
           graphopt::text_of(dims_of(shape)) + " at " + graphopt::text_of(dims_of(index_shape)));
}

}  // namespace

void test_gather_nd() {
  for (const gk_dtype dtype : {kU8, kF32, kF64}) {
    gathers<int64_t>(dtype, {4, 3, 5}, {7, 3}, 0);
    gathers<int64_t>(dtype, {4, 3, 5}, {2, 3, 2}, 0);
    gathers<int32_t>(dtype, {4, 3, 5}, {1}, 0);
    gathers<int32_t>(dtype, {2, 4, 3, 5}, {2, 6, 2}, 1);
    gathers<int64_t>(dtype, {2, 3, 4, 5}, {2, 3, 1}, 2);
    gathers<int64_t>(dtype, {4, 3}, {0, 2}, 0);
  }
  gathers<int64_t>(kF32, {50, 40, 30}, {3000, 2}, 0);

  Array x = random_array(kF32, {3, 2}), high(kI64, {1, 2}, std::vector<int64_t>{0, 2});
  Array low(kI64, {1, 2}, std::vector<int64_t>{-4, 0}), deep(kI64, {1, 3}, std::vector<int64_t>{0, 0, 0});
  check_refused("gather_nd", {&x, &high}, Array(kF32, {1}), GK_INVALID_ARGUMENT, {}, "index too high");
  check_refused("gather_nd", {&x, &low}, Array(kF32, {1}), GK_INVALID_ARGUMENT, {}, "index too low");
  check_refused("gather_nd", {&x, &deep}, Array(kF32, {1}), GK_INVALID_ARGUMENT, {}, "tuples too deep");
  CHECK(!shapes_of("gather_nd", {&x, &deep}).ok);
  CHECK(!shapes_of("gather_nd", {&x, &high}, Attributes().integer("batch_dims", 2)).ok);
  CHECK(!shapes_of("gather_nd", {&x, &high}, Attributes().integer("batch_dims", 1)).ok);
}
