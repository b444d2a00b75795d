// gather against a loop over indices: axes, ranks, index types, negative indices, slices of every size, and indices out
// of range.
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
  for (int64_t i = 0; i < count_of(index_shape); ++i) values.push_back(static_cast<T>(i * 7 % (2 * dim) - dim));
  Array indices(sizeof(T) == 8 ? kI64 : kI32, index_shape, values);
  std::vector<int64_t> to(shape.begin(), shape.begin() + static_cast<int64_t>(at));
  to.insert(to.end(), index_shape.begin(), index_shape.end());
  to.insert(to.end(), shape.begin() + static_cast<int64_t>(at) + 1, shape.end());
  Array expected(dtype, to);
  if (expected.count() > 0) {
    std::vector<int64_t> index(to.size(), 0);
    do {
      const auto first = index.begin() + static_cast<int64_t>(at);
      const auto behind = first + static_cast<int64_t>(index_shape.size());
      const T value = values[static_cast<size_t>(flat_index(index_shape, {first, behind}))];
      std::vector<int64_t> from(index.begin(), first);
      from.push_back(value < 0 ? value + dim : value);
      from.insert(from.end(), behind, index.end());
      std::memcpy(expected.data() + flat_index(to, index) * x.element(),
                  x.data() + flat_index(shape, from) * x.element(), static_cast<size_t>(x.element()));
    } while (next_index(to, &index));
  }
  check_op("gather", {&x, &indices}, expected, Attributes().integer("axis", axis),
           "axis " + std::to_string(axis) + " of " + graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_gather() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    gathers<int64_t>(dtype, {5, 3, 4}, 0, {7});
    gathers<int64_t>(dtype, {5, 3, 4}, 1, {2, 3});
    gathers<int32_t>(dtype, {5, 3, 7}, -1, {11});
    gathers<int32_t>(dtype, {9}, 0, {2, 2, 2});
    gathers<int64_t>(dtype, {6, 2}, 0, {});
    gathers<int64_t>(dtype, {6, 0}, 0, {4});
    gathers<int64_t>(dtype, {0, 3}, 1, {4});
    gathers<int64_t>(dtype, {4, 3}, 1, {0, 2});
  }
  gathers<int64_t>(kF32, {50, 384}, 0, {1, 128});
  gathers<int32_t>(kF32, {3, 70'000}, 0, {2});
  gathers<int64_t>(kU8, {2, 300}, 1, {9'000});

  Array x = random_array(kF32, {3, 2}), high = int64s({0, 3}), low = int64s({0, -4}), real(kF32, {2});
  Array empty(kF32, {0, 2}), zero = int64s({0});
  check_refused("gather", {&x, &high}, Array(kF32, {2, 2}), GK_INVALID_ARGUMENT, {}, "index too high");
  check_refused("gather", {&x, &low}, Array(kF32, {2, 2}), GK_INVALID_ARGUMENT, {}, "index too low");
  check_refused("gather", {&x, &real}, Array(kF32, {2, 2}), GK_INVALID_ARGUMENT, {}, "float indices");
  check_refused("gather", {&empty, &zero}, Array(kF32, {1, 2}), GK_INVALID_ARGUMENT, {}, "nothing to gather");
  check_refused("gather", {&x, &high}, Array(kF32, {2, 3}), GK_INVALID_ARGUMENT, {}, "output of other dims");
  CHECK(!shapes_of("gather", {&x, &real}).ok);
  CHECK(!shapes_of("gather", {&x, &high}, Attributes().integer("axis", 2)).ok);
}
