// range: counts and values of every dtype, both directions, the ends of the integers.
#include <cmath>
#include <limits>

#include "movement.h"

namespace {

using namespace movement;

template <class T>
void ranges(gk_dtype dtype, T start, T limit, T delta, const std::vector<T>& expected) {
  Array a(dtype, {}, std::vector<T>{start}), b(dtype, {}, std::vector<T>{limit}), c(dtype, {1}, std::vector<T>{delta});
  check_op("range", {&a, &b, &c}, Array(dtype, {static_cast<int64_t>(expected.size())}, expected), {},
           std::to_string(start) + ".." + std::to_string(limit));
}

template <class T>
void refuses(gk_dtype dtype, T start, T limit, T delta) {
  Array a(dtype, {}, std::vector<T>{start}), b(dtype, {}, std::vector<T>{limit}), c(dtype, {}, std::vector<T>{delta});
  CHECK(!shapes_of("range", {&a, &b, &c}).ok);
}

constexpr gk_dtype kI16 = {GK_INT, 16, 1};

}  // namespace

void test_range() {
  ranges<int64_t>(kI64, 3, 9, 3, {3, 6});
  ranges<int64_t>(kI64, 10, 4, -2, {10, 8, 6});
  ranges<int64_t>(kI64, 1, 1, 1, {});
  ranges<int64_t>(kI64, 1, 5, -1, {});
  ranges<int32_t>(kI32, -2, 3, 2, {-2, 0, 2});
  ranges<int16_t>(kI16, 5, -3, -4, {5, 1});
  ranges<float>(kF32, 1, 5, 2, {1, 3});
  ranges<float>(kF32, 0, 0.35f, 0.1f, {0, 0.1f, 0.2f, static_cast<float>(3 * static_cast<double>(0.1f))});
  ranges<double>(kF64, 10, 6, -1.5, {10, 8.5, 7});
  ranges<float>(kF32, 5, 1, 1, {});
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();
  ranges<int64_t>(kI64, kLeast, kMost, kMost, {kLeast, -1, kMost - 1});
  ranges<int64_t>(kI64, kMost, kLeast, kLeast, {kMost, -1});
  refuses<int64_t>(kI64, 0, 5, 0);
  refuses<int64_t>(kI64, kLeast, kMost, 1);
  refuses<float>(kF32, 0, 5, 0);
  refuses<float>(kF32, 0, INFINITY, 1);
  refuses<float>(kF32, NAN, 1, 1);
  refuses<uint8_t>(kU8, 0, 5, 1);
  Array one = int64s({1}), real(kF32, {1}), two = int64s({1, 2});
  CHECK(!shapes_of("range", {&one, &one, &real}).ok);
  CHECK(!shapes_of("range", {&one, &two, &one}).ok);
  check_refused("range", {&one, &one, &real}, Array(kI64, {1}), GK_INVALID_ARGUMENT, {}, "dtypes");
  Array byte(kU8, {1});
  check_refused("range", {&byte, &byte, &byte}, Array(kU8, {1}), GK_UNSUPPORTED, {}, "dtype");
}
