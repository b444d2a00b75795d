// size: of scalars, of empty tensors, of more elements than fit.
#include "movement.h"

namespace {

using namespace movement;

void counts(const std::vector<int64_t>& shape, int64_t expected) {
  Array x(kF32, shape), y(kI64, {}, std::vector<int64_t>{expected});
  check_op("size", {&x}, y, {}, graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_size() {
  counts({}, 1);
  counts({3, 5}, 15);
  counts({3, 0, 5}, 0);
  Array many(kF32, {1});
  many.shape = {int64_t{1} << 40, int64_t{1} << 40};
  check_refused("size", {&many}, Array(kI64, {}), GK_INVALID_ARGUMENT, {}, "too many");
}
