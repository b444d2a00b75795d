// trilu: both halves, diagonals inside and outside, batches, in place.
#include "movement.h"

namespace {

using namespace movement;

void halves(gk_dtype dtype, const std::vector<int64_t>& shape, bool upper, const int64_t* k) {
  Array x = random_array(dtype, shape), diagonal(kI64, {}), expected = x;
  if (k != nullptr) *diagonal.as<int64_t>() = *k;
  const int64_t rows = shape[shape.size() - 2], columns = shape.back();
  for (int64_t i = 0; i < expected.count(); ++i) {
    const int64_t row = i / columns % rows, column = i % columns;
    // Of huge diagonals the sum would not fit.
    const bool kept = k == nullptr ? (upper ? column >= row : column <= row)
                                   : (upper ? column - row >= *k : column - row <= *k);
    if (!kept) std::memset(expected.data() + i * x.element(), 0, static_cast<size_t>(x.element()));
  }
  const Attributes attributes = upper ? Attributes() : Attributes().integer("upper", 0);
  check_op("trilu", {&x, k == nullptr ? nullptr : &diagonal}, expected, attributes,
           graphopt::text_of(dims_of(shape)) + (upper ? " upper" : " lower"));
  for (const int32_t isa : supported_levels()) {
    Array y = x;
    CHECK(run_kernel("trilu", {&y, k == nullptr ? nullptr : &diagonal}, {&y}, attributes, isa, nullptr) == GK_OK);
    CHECK(y.bytes == expected.bytes);
  }
}

}  // namespace

void test_trilu() {
  for (const bool upper : {true, false}) {
    for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
      halves(dtype, {5, 7}, upper, nullptr);
      for (const int64_t k : {int64_t{0}, int64_t{2}, int64_t{-3}, int64_t{6}, int64_t{7}, int64_t{-5}, INT64_MAX, INT64_MIN}) {
        halves(dtype, {2, 5, 7}, upper, &k);
        halves(dtype, {7, 4}, upper, &k);
      }
    }
    halves(kF32, {0, 3}, upper, nullptr);
    halves(kF32, {150, 301}, upper, nullptr);
  }
  Array x(kF32, {5}), k(kI32, {}), square(kF32, {2, 2});
  CHECK(!shapes_of("trilu", {&x}).ok);
  CHECK(!shapes_of("trilu", {&square, &k}).ok);
  check_refused("trilu", {&square, &k}, square, GK_INVALID_ARGUMENT, {}, "int32 diagonal");
}
