// cumsum against running sums: exclusive, reverse, every axis, in place, dtypes.
#include "arrays.h"

namespace {

using namespace oracle;

int run(int32_t isa, Array& x, int64_t axis, bool exclusive, bool reverse, Array& y, const gk_parallel* parallel = nullptr) {
  Array at = array(kI64, {}, std::vector<int64_t>{axis});
  Call call;
  call.inputs = {x.tensor(), at.tensor()};
  call.outputs = {y.tensor()};
  call.attributes = {integer("exclusive", exclusive), integer("reverse", reverse)};
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  return gk_run_kernel("cumsum", call.get());
}

template <class T>
void sums(int32_t isa, gk_dtype dtype, const std::vector<int64_t>& shape, const std::vector<T>& data, int64_t axis) {
  const size_t at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
  int64_t inner = 1;
  for (size_t d = at + 1; d < shape.size(); ++d) inner *= shape[d];
  const int64_t length = shape[at];
  for (int form = 0; form < 4; ++form) {
    const bool exclusive = form % 2 == 1, reverse = form > 1;
    std::vector<T> want(data.size());
    for (size_t i = 0; i < data.size(); ++i) {
      const int64_t place = static_cast<int64_t>(i) / inner % length;
      if (place != (reverse ? length - 1 : 0)) continue;
      T sum = 0;
      for (int64_t j = 0; j < length; ++j) {
        const size_t k = reverse ? i - static_cast<size_t>(j * inner) : i + static_cast<size_t>(j * inner);
        want[k] = exclusive ? sum : static_cast<T>(sum + data[k]);
        sum = static_cast<T>(sum + data[k]);
      }
    }
    Array x = array(dtype, shape, data), y = array(dtype, shape, std::vector<T>(data.size()));
    const std::string what = label(isa, "axis " + std::to_string(axis) + " form " + std::to_string(form));
    ReversedPool pool;
    CHECK_WITH(run(isa, x, axis, exclusive, reverse, y) == GK_OK && values_of<T>(y) == want, what);
    CHECK_WITH(run(isa, x, axis, exclusive, reverse, y, &pool.raw) == GK_OK && values_of<T>(y) == want, what + " pool");
    CHECK_WITH(run(isa, x, axis, exclusive, reverse, x) == GK_OK && values_of<T>(x) == want, what + " in place");
  }
}

}  // namespace

void test_cumsum() {
  for (const int32_t isa : supported_levels()) {
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{1}, {50}, {3, 17}, {2, 5, 300}, {0}, {3, 0}, {21, 13}}) {
      const auto total = static_cast<size_t>(count_of(shape));
      std::vector<float> floats(total);
      std::vector<int64_t> integers(total);
      std::vector<uint8_t> bytes(total);
      for (size_t i = 0; i < total; ++i) {
        floats[i] = static_cast<float>(i * 37 % 11) * 0.25f - 1;
        integers[i] = static_cast<int64_t>(i * 53 % 7) - 3;
        bytes[i] = static_cast<uint8_t>(i * 91);
      }
      for (int64_t axis = -1; axis < static_cast<int64_t>(shape.size()); ++axis) {
        sums(isa, kF32, shape, floats, axis);
        sums(isa, kI64, shape, integers, axis);
        sums(isa, kU8, shape, bytes, axis);
      }
    }
    Array halves = array(kF16, {3}, std::vector<uint16_t>{0x3c00, 0x3c00, 0x4000}), y = halves, shorter = array(kF16, {2}, std::vector<uint16_t>(2));
    CHECK(run(isa, halves, 0, false, false, y) == GK_OK);
    CHECK((values_of<uint16_t>(y) == std::vector<uint16_t>{0x3c00, 0x4000, 0x4400}));
    CHECK(run(isa, halves, 1, false, false, y) == GK_INVALID_ARGUMENT);
    CHECK(run(isa, halves, 0, false, false, shorter) == GK_INVALID_ARGUMENT);
  }
}
