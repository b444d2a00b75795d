// concat against a loop over indices: axes, ragged and empty inputs, strided inputs and outputs, enough for threads.
#include "movement.h"

namespace {

using namespace movement;

void joins(gk_dtype dtype, const std::vector<int64_t>& shape, int64_t axis, const std::vector<int64_t>& sizes) {
  const size_t at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
  std::vector<Array> arrays;
  std::vector<int64_t> whole = shape;
  whole[at] = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<int64_t> dims = shape;
    dims[at] = sizes[i];
    whole[at] += sizes[i];
    arrays.push_back(random_array(dtype, dims, static_cast<uint32_t>(i + 1)));
  }
  Array expected(dtype, whole);
  int64_t offset = 0;
  std::vector<Array*> inputs;
  for (Array& array : arrays) {
    inputs.push_back(&array);
    std::vector<int64_t> index(array.shape.size(), 0);
    if (array.count() > 0) {
      do {
        std::vector<int64_t> to = index;
        to[at] += offset;
        std::memcpy(expected.data() + flat_index(whole, to) * array.element(),
                    array.data() + flat_index(array.shape, index) * array.element(),
                    static_cast<size_t>(array.element()));
      } while (next_index(array.shape, &index));
    }
    offset += array.shape[at];
  }
  check_op("concat", inputs, expected, Attributes().integer("axis", axis),
           "axis " + std::to_string(axis) + " of " + graphopt::text_of(dims_of(whole)));
}

// Transposed inputs into a transposed output.
void strided() {
  for (const int32_t isa : supported_levels()) {
    Array a = random_array(kF32, {5, 3}), b = random_array(kF32, {4, 3}, 2), y(kF32, {9, 3});
    std::vector<int64_t> a_shape = {3, 5}, b_shape = {3, 4}, y_shape = {3, 9}, strides = {1, 3};
    Call call;
    call.inputs = {a.tensor(), b.tensor()};
    call.outputs = {y.tensor()};
    call.inputs[0].shape = a_shape.data();
    call.inputs[1].shape = b_shape.data();
    call.outputs[0].shape = y_shape.data();
    call.inputs[0].strides = call.inputs[1].strides = call.outputs[0].strides = strides.data();
    call.set("axis", 1);
    call.raw.isa = isa;
    CHECK(gk_run_kernel("concat", call.get()) == GK_OK);
    CHECK(std::memcmp(y.data(), a.data(), static_cast<size_t>(a.size())) == 0);
    CHECK(std::memcmp(y.data() + a.size(), b.data(), static_cast<size_t>(b.size())) == 0);
    CHECK(y.guarded());
  }
}

}  // namespace

void test_concat() {
  for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
    joins(dtype, {2, 3, 5}, 1, {1, 0, 7});
    joins(dtype, {2, 3, 5}, -1, {4, 5, 1, 1});
    joins(dtype, {2, 3, 5}, 0, {1, 2});
    joins(dtype, {7}, 0, {3});
    joins(dtype, {0, 3}, 1, {2, 2});
    joins(dtype, {4, 1}, 1, {0, 0});
  }
  for (const int64_t rows : {1, 4, 7, 900}) {
    joins(kF32, {rows, 1}, 1, {1, 1, 1, 1});
    joins(kF32, {2, rows, 1}, -1, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    joins(kU16, {rows, 1, 2}, 1, {1, 1, 1, 1, 1});
  }
  joins(kF32, {5000, 1}, 1, {1, 1, 1, 1, 1, 1});
  joins(kF32, {700, 1}, 1, {33, 16});
  joins(kF32, {1, 60'000}, 0, {1, 1});
  joins(kU8, {1, 130'001}, 1, {130'001, 70'003, 0, 5});
  strided();
  Array a(kF32, {2, 3}), b(kF32, {2, 4}), c(kI32, {2, 3}), d(kF32, {3});
  const Attributes axis = Attributes().integer("axis", 0);
  CHECK(!shapes_of("concat", {&a, &b}, axis).ok);
  CHECK(!shapes_of("concat", {&a, &c}, axis).ok);
  CHECK(!shapes_of("concat", {&a, &d}, axis).ok);
  CHECK(!shapes_of("concat", {&a, &a}, Attributes().integer("axis", 2)).ok);
  check_refused("concat", {&a, &b}, Array(kF32, {4, 3}), GK_INVALID_ARGUMENT, axis, "other dims");
  check_refused("concat", {&a, &c}, Array(kF32, {4, 3}), GK_INVALID_ARGUMENT, axis, "other dtype");
  check_refused("concat", {&a, &a}, Array(kF32, {5, 3}), GK_INVALID_ARGUMENT, axis, "output too large");
}
