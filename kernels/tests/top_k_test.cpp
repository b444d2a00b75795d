// top_k against a stable sort: ties, NaN, every axis, k from 0 to all, dtypes, indices left out.
#include <algorithm>
#include <numeric>

#include "arrays.h"

namespace {

using namespace oracle;

int run(int32_t isa, Array& x, int64_t axis, bool largest, Array& values, Array* indices, const gk_parallel* parallel,
        size_t workspace = 0) {
  Array k = array(kI64, {1}, std::vector<int64_t>{0});
  std::vector<int64_t> scratch(workspace / 8 + 1);
  Call call;
  call.inputs = {x.tensor(), k.tensor()};
  call.outputs = {values.tensor()};
  if (indices != nullptr) call.outputs.push_back(indices->tensor());
  call.attributes = {integer("axis", axis), integer("largest", largest)};
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  call.raw.workspace = {scratch.data(), workspace};
  return gk_run_kernel("top_k", call.get());
}

template <class T>
bool above(T a, T b) {
  return a > b || (a != a && b == b);
}

template <class T>
void finds(int32_t isa, gk_dtype dtype, const std::vector<int64_t>& shape, const std::vector<T>& data, int64_t axis, int64_t k) {
  const size_t at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
  std::vector<int64_t> out = shape;
  out[at] = k;
  int64_t inner = 1;
  for (size_t d = at + 1; d < shape.size(); ++d) inner *= shape[d];
  const int64_t length = shape[at], outer = count_of(shape) / (length * inner);
  const auto total = static_cast<size_t>(count_of(out));
  for (const bool largest : {true, false}) {
    std::vector<T> want_values(total);
    std::vector<int64_t> want(total);
    for (int64_t row = 0; row < outer * inner; ++row) {
      const auto element = [&](int64_t i) { return data[static_cast<size_t>(row / inner * length * inner + i * inner + row % inner)]; };
      std::vector<int64_t> order(static_cast<size_t>(length));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        return largest ? above(element(i), element(j)) : above(element(j), element(i));
      });
      for (int64_t i = 0; i < k; ++i) {
        const auto to = static_cast<size_t>(row / inner * k * inner + i * inner + row % inner);
        want[to] = order[static_cast<size_t>(i)];
        want_values[to] = element(want[to]);
      }
    }
    Array x = array(dtype, shape, data), values = array(dtype, out, std::vector<T>(total)), indices = array(kI64, out, std::vector<int64_t>(total));
    const std::string what = label(isa, "axis " + std::to_string(axis) + " k " + std::to_string(k) + (largest ? "" : " smallest"));
    ReversedPool pool;
    for (const gk_parallel* parallel : {static_cast<const gk_parallel*>(nullptr), static_cast<const gk_parallel*>(&pool.raw)}) {
      CHECK_WITH(run(isa, x, axis, largest, values, &indices, parallel) == GK_OK, what);
      CHECK_WITH(values_of<int64_t>(indices) == want, what);
      CHECK_WITH(total == 0 || std::memcmp(values.bytes.data(), want_values.data(), total * sizeof(T)) == 0, what);
    }
    CHECK_WITH(run(isa, x, axis, largest, values, nullptr, nullptr, total * 8) == GK_OK, what);
    CHECK_WITH(total == 0 || std::memcmp(values.bytes.data(), want_values.data(), total * sizeof(T)) == 0, what);
    if (total > 0) CHECK_WITH(run(isa, x, axis, largest, values, nullptr, nullptr, total * 8 - 1) == GK_WORKSPACE_TOO_SMALL, what);
  }
}

}  // namespace

void test_top_k() {
  for (const int32_t isa : supported_levels()) {
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{1}, {100}, {3, 17}, {2, 30, 5}, {2, 333}}) {
      const auto total = static_cast<size_t>(count_of(shape));
      std::vector<float> floats(total);
      std::vector<int64_t> integers(total);
      std::vector<uint8_t> bytes(total);
      for (size_t i = 0; i < total; ++i) {
        floats[i] = static_cast<float>(i * 37 % 11) - 5;
        integers[i] = static_cast<int64_t>(i * 53 % 7) - 3;
        bytes[i] = static_cast<uint8_t>(i * 91);
      }
      if (total > 10) floats[7] = floats[3] = floats[total - 2] = kNan;
      for (int64_t axis = -1; axis < static_cast<int64_t>(shape.size()); ++axis) {
        const int64_t length = shape[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis)];
        for (const int64_t k : {int64_t{0}, int64_t{1}, std::min<int64_t>(4, length), length}) {
          finds(isa, kF32, shape, floats, axis, k);
          finds(isa, kI64, shape, integers, axis, k);
          finds(isa, kU8, shape, bytes, axis, k);
        }
      }
    }
    Array x = random_f32({4}, 0, 1, 1), more = random_f32({5}, 0, 1, 1), indices = array(kI64, {5}, std::vector<int64_t>(5));
    CHECK(run(isa, x, 0, true, more, &indices, nullptr) == GK_INVALID_ARGUMENT);
    CHECK(run(isa, more, 1, true, x, &indices, nullptr) == GK_INVALID_ARGUMENT);
  }
}
