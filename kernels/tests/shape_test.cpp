// shape: slices of the dims, from inputs without data too.
#include "movement.h"

namespace {

using namespace movement;

void dims(const std::vector<int64_t>& shape, const Attributes& attributes, const std::vector<int64_t>& expected) {
  Array x(kF32, shape), y = int64s(expected);
  check_op("shape", {&x}, y, attributes, graphopt::text_of(dims_of(shape)));
}

}  // namespace

void test_shape() {
  dims({3, 0, 5}, {}, {3, 0, 5});
  dims({}, {}, {});
  dims({3, 4, 5}, Attributes().integer("start", 1), {4, 5});
  dims({3, 4, 5}, Attributes().integer("start", -1), {5});
  dims({3, 4, 5}, Attributes().integer("end", -1), {3, 4});
  dims({3, 4, 5}, Attributes().integer("start", 1).integer("end", 2), {4});
  dims({3, 4, 5}, Attributes().integer("start", 2).integer("end", 1), {});
  dims({3, 4, 5}, Attributes().integer("start", -10).integer("end", 10), {3, 4, 5});
  Array x(kF32, {2}), y(kI64, {2});
  check_refused("shape", {&x}, y, GK_INVALID_ARGUMENT, {}, "output too large");
  check_refused("shape", {&x}, Array(kI32, {1}), GK_INVALID_ARGUMENT, {}, "int32");
  std::vector<int64_t> shape = {7, 9};
  int64_t values[2] = {};
  Call call;
  call.inputs = {{nullptr, {GK_CPU, 0}, 2, kF32, shape.data(), nullptr, 0}};
  int64_t two = 2;
  call.outputs = {vector_of(values, kI64, &two)};
  CHECK(gk_run_kernel("shape", call.get()) == GK_OK);
  CHECK(values[0] == 7 && values[1] == 9);
}
