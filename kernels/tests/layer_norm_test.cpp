// layer_norm against plain loops in double: both kinds, residuals, further outputs, broadcast operands, epilogue.
#include "float_call.h"

namespace {

using namespace floats;

// The element of an operand that broadcasts to `shape` at flat index `at` of it; `otherwise` where it is absent.
double element(const Tensor& operand, const std::vector<int64_t>& shape, int64_t at, double otherwise) {
  if (operand.absent) return otherwise;
  int64_t offset = 0, stride = 1;
  const size_t shift = shape.size() - operand.shape.size();
  for (size_t i = shape.size(); i-- > shift;) {
    const int64_t index = at % shape[i], dim = operand.shape[i - shift];
    at /= shape[i];
    if (dim != 1) offset += index * stride;
    stride *= dim;
  }
  return operand.values[static_cast<size_t>(offset)];
}

struct Options {
  bool rms = false, relu = false, total = false, statistics = false;
  double epsilon = 1e-5;
};

// inputs: X, skip, pre_bias, scale, shift.
std::vector<Expected> oracle(const std::vector<Tensor>& inputs, int axis, const Options& options) {
  const std::vector<int64_t>& shape = inputs[0].shape;
  std::vector<int64_t> row_shape = shape;
  int64_t rows = 1, cols = 1;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    (i < axis ? rows : cols) *= shape[static_cast<size_t>(i)];
    if (i >= axis) row_shape[static_cast<size_t>(i)] = 1;
  }
  Expected y = zeros(shape), total = zeros(shape), mean = zeros(row_shape), inverse = zeros(row_shape);
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0, largest = 0, squares = 0;
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t at = r * cols + c;
      const double x = inputs[0].values[static_cast<size_t>(at)], a = element(inputs[1], shape, at, 0),
                   b = element(inputs[2], shape, at, 0), t = x + a + b;
      total.values[static_cast<size_t>(at)] = t;
      total.tolerance[static_cast<size_t>(at)] = 2 * kEpsilon * (std::fabs(x) + std::fabs(a) + std::fabs(b));
      largest = std::fmax(largest, std::fabs(x) + std::fabs(a) + std::fabs(b));
      sum += t;
    }
    const double m = options.rms ? 0 : sum / static_cast<double>(cols);
    for (int64_t c = 0; c < cols; ++c) squares += std::pow(total.values[static_cast<size_t>(r * cols + c)] - m, 2);
    const double variance = squares / static_cast<double>(cols), d = 1 / std::sqrt(variance + options.epsilon);
    // The sum of n numbers errs by at most n half ulps of their magnitudes; sums in lanes by far less.
    const double mean_error = kEpsilon * largest * (3 + std::sqrt(static_cast<double>(cols)));
    const double relative = kEpsilon * (8 + static_cast<double>(cols) / 8) + 2 * mean_error * d;
    mean.values[static_cast<size_t>(r)] = m;
    mean.tolerance[static_cast<size_t>(r)] = mean_error;
    inverse.values[static_cast<size_t>(r)] = d;
    inverse.tolerance[static_cast<size_t>(r)] = relative * d;
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t at = r * cols + c;
      const double normal = (total.values[static_cast<size_t>(at)] - m) * d, scale = element(inputs[3], shape, at, 1),
                   shift = element(inputs[4], shape, at, 0);
      double value = normal * scale + shift;
      const double error = (2 * mean_error * d + relative * std::fabs(normal)) * std::fabs(scale) +
                           4 * kEpsilon * (std::fabs(normal * scale) + std::fabs(shift));
      if (options.relu && value < 0) value = 0;
      y.values[static_cast<size_t>(at)] = value;
      y.tolerance[static_cast<size_t>(at)] = error;
    }
  }
  std::vector<Expected> outputs = {y};
  if (options.total || options.statistics) outputs.push_back(options.total ? total : no_output());
  if (options.statistics) outputs.insert(outputs.end(), {mean, inverse});
  return outputs;
}

void compare(std::vector<Tensor> inputs, int axis, const Options& options, const std::string& name) {
  const std::vector<Expected> expected = oracle(inputs, axis, options);
  Case test = {"layer_norm",
               std::move(inputs),
               {integer("axis", axis - static_cast<int64_t>(expected[0].shape.size())),
                number("epsilon", options.epsilon), text("kind", options.rms ? "rms" : "layer")},
               0b11100,
               name};
  check_shapes(test, expected);
  check(test, expected);
}

void sizes() {
  for (const int64_t cols : {1, 2, 15, 16, 17, 63, 64, 65, 120, 129, 384}) {
    for (const bool rms : {false, true}) {
      const std::string name = std::to_string(cols) + (rms ? " rms" : "");
      const Tensor x = random({2, 3, cols}, 1), skip = random({2, 3, cols}, 2), scale = random({cols}, 3),
                   shift = random({cols}, 4);
      compare({x, none(), none(), none(), none()}, 2, {.rms = rms}, name + " plain");
      compare({x, skip, none(), scale, shift}, 2, {.rms = rms, .total = true}, name + " skip");
      compare({x, skip, random({cols}, 5), scale, none()}, 2, {.rms = rms}, name + " pre_bias");
      compare({x, none(), none(), none(), shift}, 2, {.rms = rms, .total = true, .statistics = true}, name + " all");
    }
  }
  compare({random({500, 64}, 1), random({500, 64}, 2), none(), random({64}, 3), random({64}, 4)}, 1, {.total = true},
          "chunks");
}

void broadcasting() {
  const Tensor x = random({2, 3, 4, 5}, 1);
  for (int axis = 0; axis < 4; ++axis) {
    std::vector<int64_t> whole(x.shape.begin() + axis, x.shape.end());
    compare({x, none(), none(), random(whole, 2), random(whole, 3)}, axis, {.statistics = true}, "axis");
  }
  compare({x, random({3, 4, 5}, 2), random({4, 5}, 3), random({4, 1}, 4), random({1}, 5)}, 2, {.total = true}, "inner");
  compare({x, random({2, 1, 4, 5}, 2), none(), random({2, 1, 1, 5}, 4), random({1, 3, 1, 1}, 5)}, 3, {}, "outer");
  compare({x, random({2, 3, 4, 1}, 2), none(), random({1, 1, 1, 1}, 4), none()}, 1, {.rms = true}, "ones");
}

void special_values() {
  Tensor x = random({4, 33}, 1);
  x.values[5] = NAN;
  x.values[33 + 7] = INFINITY;
  for (int i = 0; i < 33; ++i) x.values[static_cast<size_t>(66 + i)] = 1000.25f;  // no variance at all
  for (int i = 0; i < 33; ++i) x.values[static_cast<size_t>(99 + i)] += 30000;    // a mean far from 0
  compare({x, none(), none(), none(), none()}, 1, {}, "special");
  Expected y = oracle({x, none(), none(), none(), none()}, 1, {})[0];
  CHECK(std::isnan(y.values[0]) && std::isnan(y.values[33]) && y.values[66] == 0);
  compare({random({0, 4}, 1), none(), none(), random({4}, 2), none()}, 1, {.statistics = true}, "empty");
}

// y = relu(norm); y = relu(norm · a + b) with a by column and b like X; and an operand that varies by an inner dim
// only, which takes a second pass. Register 0 is the norm.
void epilogues() {
  const int64_t mul = 3, add = 1, relu = 60, f32 = 1;
  const std::vector<int64_t> plain = {relu, f32, 1, 0, -1, -1}, both = {mul, f32, 3, 0, 1, -1, add, f32, 4, 3, 2, -1,
                                                                       relu, f32, 5, 4, -1, -1};
  const std::vector<int64_t> shape = {3, 4, 37};
  const std::vector<Tensor> base = {random(shape, 1), random(shape, 2), none(), random({37}, 3), random({37}, 4)};
  for (const std::vector<int64_t>& columns : {std::vector<int64_t>{37}, {4, 1}, {3, 1, 37}}) {
    const Tensor a = random(columns, 5), b = random(shape, 6);
    std::vector<Expected> expected = oracle(base, 2, {.total = true});
    Case test = {"layer_norm", base, {integers("epilogue", plain), integer("epilogue_result", 1)}, 0, "relu"};
    Expected& y = expected[0];
    const std::vector<double> normal = y.values, error = y.tolerance;
    for (double& value : y.values) value = std::fmax(value, 0);
    check(test, expected);
    test = {"layer_norm", base, {integers("epilogue", both), integer("epilogue_result", 5), integer("epilogue_first", 5)},
            0, "operands"};
    test.inputs.insert(test.inputs.end(), {a, b});
    for (size_t i = 0; i < normal.size(); ++i) {
      const double factor = element(a, shape, static_cast<int64_t>(i), 1), addend = b.values[i];
      y.values[i] = std::fmax(normal[i] * factor + addend, 0);
      y.tolerance[i] = error[i] * std::fabs(factor) + 3 * kEpsilon * (std::fabs(normal[i] * factor) + std::fabs(addend));
    }
    check(test, expected);
  }
}

void refusals() {
  const Tensor x = random({2, 8}, 1);
  const auto refused = [&](std::vector<Tensor> inputs, std::vector<gk_attribute> attributes, int status) {
    check_refused({"layer_norm", std::move(inputs), std::move(attributes), 0, "refused"}, {zeros({2, 8})}, status);
  };
  refused({x}, {integer("axis", 2)}, GK_INVALID_ARGUMENT);
  refused({x}, {text("kind", "batch")}, GK_INVALID_ARGUMENT);
  refused({random({2, 9}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({x, random({3, 8}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({x, none(), none(), random({1, 1, 8}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({of_bytes<int64_t>(kI64, {2, 8}, std::vector<int64_t>(16))}, {}, GK_UNSUPPORTED);
}

}  // namespace

void test_layer_norm() {
  sizes();
  broadcasting();
  special_values();
  epilogues();
  refusals();
}
