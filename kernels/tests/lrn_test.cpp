// lrn against plain loops in double, in both layouts.
#include "spatial.h"

namespace {

void run(std::vector<int64_t> shape, bool last, int64_t size, double alpha, double beta, double bias) {
  const size_t axis = last ? shape.size() - 1 : 1;
  const int64_t channels = shape[axis];
  int64_t inner = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  floats::Tensor x = floats::random(shape, 3, 2.0f);
  floats::Expected y = floats::zeros(shape);
  for (int64_t i = 0; i < floats::count_of(shape); ++i) {
    const int64_t c = i / inner % channels;
    double sum = 0.0;
    for (int64_t j = c - (size - 1) / 2; j <= c + size / 2; ++j) {
      if (j < 0 || j >= channels) continue;
      const double value = x.values[static_cast<size_t>(i + (j - c) * inner)];
      sum += value * value;
    }
    const size_t at = static_cast<size_t>(i);
    const double base = bias + alpha / static_cast<double>(size) * sum;
    y.values[at] = static_cast<double>(x.values[at]) * std::pow(base, -beta);
    y.tolerance[at] = floats::kEpsilon * (static_cast<double>(size) * std::fabs(beta) + 8.0) * 2.0 * std::fabs(y.values[at]);
  }
  spatial::Attributes attributes;
  attributes.add("channels_last", last ? 1 : 0);
  attributes.add("size", size);
  attributes.number("alpha", alpha);
  attributes.number("beta", beta);
  attributes.number("bias", bias);
  floats::Case test = {"lrn", {x}, attributes.all, 0, spatial::text_of(shape) + " size " + std::to_string(size)};
  floats::check_shapes(test, {y});
  floats::check(test, {y});
}

}  // namespace

void test_lrn() {
  for (const bool last : {false, true}) {
    for (const int64_t size : {1, 3, 4, 5, 12}) {
      run({2, 7, 5, 3}, last, size, 1e-2, 0.75, 1.0);
      run({1, 40, 37}, last, size, 0.5, 0.5, 2.0);
      run({1, 5, 40}, last, size, 0.5, 0.6, 1.5);
    }
    run({0, 7, 5}, last, 3, 1e-4, 0.75, 1.0);
    run({3, 17}, last, 3, 1e-4, 0.75, 1.0);
  }
  floats::Tensor x = floats::random({1, 3, 2}, 1);
  floats::check_refused({"lrn", {x}, {}, 0, "no size"}, {floats::zeros({1, 3, 2})}, GK_INVALID_ARGUMENT);
}
