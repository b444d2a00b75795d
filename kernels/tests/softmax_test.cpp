// softmax against plain loops in double.
#include "float_call.h"

namespace {

using namespace floats;

Expected oracle(const Tensor& x, int axis, bool log) {
  Expected y = zeros(x.shape);
  int64_t outer = 1, inner = 1;
  const int64_t n = x.shape[static_cast<size_t>(axis)];
  for (int i = 0; i < static_cast<int>(x.shape.size()); ++i) {
    if (i < axis) outer *= x.shape[static_cast<size_t>(i)];
    if (i > axis) inner *= x.shape[static_cast<size_t>(i)];
  }
  for (int64_t slice = 0; slice < outer * inner; ++slice) {
    const int64_t start = slice / inner * n * inner + slice % inner;
    double greatest = -INFINITY, sum = 0, error = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double v = x.values[static_cast<size_t>(start + i * inner)];
      greatest = std::isnan(v) || v > greatest ? v : greatest;
    }
    for (int64_t i = 0; i < n; ++i) sum += std::exp(x.values[static_cast<size_t>(start + i * inner)] - greatest);
    for (int64_t i = 0; i < n; ++i) {
      const size_t at = static_cast<size_t>(start + i * inner);
      const double distance = x.values[at] - greatest, p = std::exp(distance) / sum;
      // The difference is rounded once, the exponential is within 2 ulp, the sum within n of its terms' ulps.
      error = p == 0 ? 0 : kEpsilon * (8 + std::fabs(distance) + static_cast<double>(n));
      y.values[at] = log ? distance - std::log(sum) : p;
      y.tolerance[at] = log ? error + 4 * kEpsilon * (std::fabs(greatest) + std::fabs(y.values[at])) : error * p + 1e-37;
    }
  }
  return y;
}

void test_shape(std::vector<int64_t> shape, int axis, float scale) {
  for (const bool log : {false, true}) {
    Case test = {"softmax", {random(shape, 7, scale)}, {integer("axis", axis), integer("log", log)}, 0, ""};
    test.name = graphopt::text_of({static_cast<int>(shape.size()), {shape[0], shape[1], shape.size() > 2 ? shape[2] : 0}});
    const int from_front = axis < 0 ? axis + static_cast<int>(shape.size()) : axis;
    const std::vector<Expected> expected = {oracle(test.inputs[0], from_front, log)};
    check_shapes(test, expected);
    check(test, expected);
  }
}

void special_values() {
  Tensor x = random({7, 37}, 3);
  const float inf = INFINITY;
  for (int i = 0; i < 37; ++i) x.values[37 + i] = -inf;    // row 1: nothing but −∞: NaN
  x.values[2 * 37 + 5] = NAN;                               // row 2: NaN anywhere: NaN
  x.values[3 * 37 + 36] = inf;                              // row 3: ∞ − ∞
  x.values[4 * 37 + 9] = -inf;                              // row 4: one exact zero
  for (int i = 0; i < 37; ++i) x.values[5 * 37 + i] = -3.4e38f;  // row 5: 1/37 each
  x.values[6 * 37] = 3.4e38f;                               // row 6: one exact one
  for (const bool log : {false, true}) {
    Case test = {"softmax", {x}, {integer("log", log)}, 0, "special"};
    Expected y = oracle(x, 1, log);
    for (int row : {1, 2, 3}) {
      for (int i = 0; i < 37; ++i) y.values[static_cast<size_t>(row * 37 + i)] = NAN;
    }
    check(test, {y});
  }
  CHECK(oracle(x, 1, false).values[4 * 37 + 9] == 0.0);
}

}  // namespace

void test_softmax() {
  for (const int64_t n : {1, 2, 7, 16, 17, 31, 32, 33, 64, 67, 214}) test_shape({5, n}, -1, 4.0f);
  for (const int64_t inner : {1, 3, 15, 16, 17, 35}) test_shape({3, 13, inner}, 1, 20.0f);
  test_shape({11, 6}, 0, 100.0f);
  for (const int64_t n : {1, 2, 3, 4, 8, 10, 16, 21, 32, 33, 49, 64, 65}) test_shape({37, n}, -1, 8.0f);
  for (const int64_t n : {2, 21, 300}) test_shape({2, n, 150}, 1, 5.0f);
  test_shape({300, 200}, 1, 3.0f);  // several chunks
  test_shape({40, 300, 3}, 1, 3.0f);
  test_shape({0, 4}, 1, 1.0f);
  test_shape({4, 0}, 1, 1.0f);
  special_values();
  Case bad = {"softmax", {random({2, 3}, 1)}, {integer("axis", 2)}, 0, "axis"};
  check_refused(bad, {zeros({2, 3})}, GK_INVALID_ARGUMENT);
  check_refused({"softmax", {random({2, 3}, 1)}, {}, 0, "size"}, {zeros({2, 4})}, GK_INVALID_ARGUMENT);
}
