// arg_reduce against a scan of each group: ties, the last of equals, NaN, strides, dtypes.
#include "arrays.h"

namespace {

using namespace oracle;

int run(int32_t isa, Array& x, int64_t axis, bool largest, bool last, Array& y, const gk_parallel* parallel) {
  Call call;
  call.inputs = {x.tensor()};
  call.outputs = {y.tensor()};
  call.attributes = {text("kind", largest ? "max" : "min"), integer("axis", axis), integer("select_last_index", last)};
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  return gk_run_kernel("arg_reduce", call.get());
}

template <class T>
void finds(int32_t isa, Array x, int64_t axis) {
  const size_t rank = x.shape.size(), at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
  std::vector<int64_t> kept = x.shape, dropped = x.shape;
  kept[at] = 1;
  dropped.erase(dropped.begin() + static_cast<std::ptrdiff_t>(at));
  const auto outputs = static_cast<size_t>(count_of(kept));
  for (const bool largest : {true, false}) {
    for (const bool last : {false, true}) {
      Array y = array(kI64, kept, std::vector<int64_t>(outputs)), flat = array(kI64, dropped, std::vector<int64_t>(outputs));
      std::vector<int64_t> want(outputs, -1), seen(outputs, 0);
      std::vector<T> best(outputs);
      const T* data = reinterpret_cast<const T*>(x.bytes.data());
      int64_t below = 1;
      for (size_t d = at + 1; d < rank; ++d) below *= x.shape[d];
      for (int64_t i = 0; i < count_of(x.shape); ++i) {
        const auto group = static_cast<size_t>(offset_in(y, x.shape, i));
        const T v = data[offset_in(x, x.shape, i)], b = best[group];
        const bool better = largest ? v > b : v < b;
        const bool take = want[group] < 0 || (b != b ? last && v != v : v != v || better || (last && v == b));
        if (!take) continue;
        want[group] = i / below % x.shape[at];
        best[group] = v;
      }
      ReversedPool pool;
      CHECK(run(isa, x, axis, largest, last, y, nullptr) == GK_OK);
      CHECK(run(isa, x, axis, largest, last, flat, &pool.raw) == GK_OK);
      const std::string what = label(isa, std::to_string(axis) + (largest ? " max" : " min") + (last ? " last" : ""));
      CHECK_WITH(values_of<int64_t>(y) == want && values_of<int64_t>(flat) == want, what);
    }
  }
}

}  // namespace

void test_arg_reduce() {
  for (const int32_t isa : supported_levels()) {
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{1}, {7}, {300}, {3, 50}, {4, 5, 6}, {2, 70, 33}, {40, 1}, {0, 3}, {3, 300}, {21, 5, 67}, {2, 3, 130}}) {
      for (int64_t axis = -1; axis < static_cast<int64_t>(shape.size()); ++axis) {
        if (count_of(shape) == 0 && axis == 0) continue;
        Array x = random_f32(shape, -3, 3, 9);
        float* data = reinterpret_cast<float*>(x.bytes.data());
        for (int64_t i = 0; i < count_of(shape); ++i) data[i] = std::round(data[i]);  // ties
        finds<float>(isa, x, axis);
        if (count_of(shape) > 5) data[count_of(shape) / 2] = data[count_of(shape) - 2] = kNan;
        finds<float>(isa, x, axis);
        std::vector<int64_t> whole(static_cast<size_t>(count_of(shape)));
        for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<int64_t>(i * 7 % 5) - 2;
        finds<int64_t>(isa, array(kI64, shape, whole), axis);
        std::vector<uint8_t> bytes(whole.size());
        for (size_t i = 0; i < whole.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 77);
        finds<uint8_t>(isa, array(kU8, shape, bytes), axis);
      }
    }
    Array transposed = random_f32({9, 40}, -1, 1, 4);
    transposed.strides = {1, 9};
    finds<float>(isa, transposed, 0);
    Array rows = random_f32({35, 50}, -1, 1, 4);
    rows.shape = {35, 17};  // rows with gaps between them
    rows.strides = {50, 1};
    finds<float>(isa, rows, 0);
    finds<float>(isa, rows, 1);
    finds<float>(isa, transposed, 1);
    Array empty = random_f32({0, 3}, 0, 1, 1), y = array(kI64, {1, 3}, std::vector<int64_t>(3)), wrong = array(kI64, {2, 3}, std::vector<int64_t>(6));
    CHECK(run(isa, empty, 0, true, false, y, nullptr) == GK_INVALID_ARGUMENT);
    CHECK(run(isa, transposed, 0, true, false, wrong, nullptr) == GK_INVALID_ARGUMENT);
    CHECK(run(isa, transposed, 2, true, false, y, nullptr) == GK_INVALID_ARGUMENT);
  }
}
