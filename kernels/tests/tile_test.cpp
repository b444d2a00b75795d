// tile against indices modulo the input's dims.
#include "movement.h"

namespace {

using namespace movement;

void tiles(gk_dtype dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& repeats) {
  Array x = random_array(dtype, shape), counts = int64s(repeats);
  std::vector<int64_t> to = shape;
  for (size_t i = 0; i < to.size(); ++i) to[i] *= repeats[i];
  Array expected(dtype, to);
  if (expected.count() > 0) {
    std::vector<int64_t> index(to.size(), 0);
    do {
      std::vector<int64_t> from = index;
      for (size_t i = 0; i < from.size(); ++i) from[i] %= shape[i];
      std::memcpy(expected.data() + flat_index(to, index) * x.element(),
                  x.data() + flat_index(shape, from) * x.element(), static_cast<size_t>(x.element()));
    } while (next_index(to, &index));
  }
  check_op("tile", {&x, &counts}, expected, {}, graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_tile() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    tiles(dtype, {2, 3, 4}, {2, 1, 3});
    tiles(dtype, {2, 3, 1}, {1, 2, 17});
    tiles(dtype, {5}, {3});
    tiles(dtype, {}, {});
    tiles(dtype, {3, 2}, {2, 0});
    tiles(dtype, {0, 2}, {2, 3});
    tiles(dtype, {1, 2, 1, 2, 1, 2, 1, 2}, {2, 2, 2, 2, 2, 2, 2, 2});
  }
  tiles(kF32, {3, 700}, {40, 2});

  Array x(kF32, {2, 3}), one = int64s({2}), negative = int64s({2, -1}), fine = int64s({2, 1});
  CHECK(!shapes_of("tile", {&x, &one}).ok);
  CHECK(!shapes_of("tile", {&x, &negative}).ok);
  check_refused("tile", {&x, &fine}, Array(kF32, {2, 6}), GK_INVALID_ARGUMENT, {}, "output of other dims");
  check_refused("tile", {&x, &one}, Array(kF32, {4, 3}), GK_INVALID_ARGUMENT, {}, "too few repeats");
}
