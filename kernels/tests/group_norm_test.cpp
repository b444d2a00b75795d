// group_norm against plain loops in double, in both layouts, with epilogues.
#include "spatial.h"

namespace {

using floats::Expected;
using floats::Tensor;

struct Norm {
  int64_t batch, channels, groups;
  std::vector<int64_t> positions;
  double offset = 0.0;  // added to X: a large mean must not cost digits
  int epilogue = 0;     // 1: clamp, 2: silu, 3: add an operand of X's shape, 4: multiply by one number per channel,
                        // 5: silu(y · per image and channel + per channel)
};

std::vector<int64_t> shape_of(const Norm& norm, bool last) {
  std::vector<int64_t> shape = {norm.batch};
  if (!last) shape.push_back(norm.channels);
  shape.insert(shape.end(), norm.positions.begin(), norm.positions.end());
  if (last) shape.push_back(norm.channels);
  return shape;
}

void run(const Norm& norm, bool last) {
  const int64_t area = floats::count_of(norm.positions);
  Tensor x = floats::random(shape_of(norm, last), 3), scale = floats::random({norm.channels}, 4), bias = floats::random({norm.channels}, 5);
  for (float& value : x.values) value += static_cast<float>(norm.offset);
  Tensor extra = floats::none();
  spatial::Attributes attributes;
  attributes.add("channels_last", last ? 1 : 0);
  if (norm.groups != norm.channels) attributes.add("num_groups", norm.groups);
  const double epsilon = 1e-3;
  attributes.number("epsilon", epsilon);
  if (norm.epilogue == 1) attributes.epilogue({spatial::k_clip, 1, 3, 0, 1, 2}, 3, 3, {-0.5, 0.75});
  if (norm.epilogue == 2) attributes.epilogue({spatial::k_silu, 1, 1, 0, -1, -1}, 1, 3);
  if (norm.epilogue == 3) {
    attributes.epilogue({spatial::k_add, 1, 2, 0, 1, -1}, 2, 3);
    extra = floats::random(x.shape, 6);
  }
  if (norm.epilogue == 4) {
    attributes.epilogue({spatial::k_mul, 1, 2, 0, 1, -1}, 2, 3);
    std::vector<int64_t> shape = {norm.channels};
    if (!last) shape.resize(norm.positions.size() + 1, 1);
    extra = floats::random(shape, 6);
  }
  Tensor shift = floats::none();
  if (norm.epilogue == 5) {
    attributes.epilogue({spatial::k_mul, 1, 3, 0, 1, -1, spatial::k_add, 1, 4, 2, 3, -1, spatial::k_silu, 1, 5, 4, -1, -1}, 5, 3);
    std::vector<int64_t> shape(norm.positions.size() + 2, 1);
    shape[last ? shape.size() - 1 : 1] = norm.channels;
    shift = floats::random(shape, 8);
    shape[0] = norm.batch;
    extra = floats::random(shape, 7);
  }
  const auto index = [&](int64_t n, int64_t c, int64_t p) {
    return static_cast<size_t>(last ? (n * area + p) * norm.channels + c : (n * norm.channels + c) * area + p);
  };
  Expected y = floats::zeros(x.shape);
  const int64_t per_group = norm.groups == 0 ? 0 : norm.channels / norm.groups;
  for (int64_t n = 0; n < norm.batch; ++n) {
    for (int64_t g = 0; g < norm.groups; ++g) {
      double mean = 0.0, variance = 0.0;
      const double count = static_cast<double>(per_group * area);
      for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
        for (int64_t p = 0; p < area; ++p) mean += static_cast<double>(x.values[index(n, c, p)]) / count;
      }
      for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
        for (int64_t p = 0; p < area; ++p) {
          const double d = static_cast<double>(x.values[index(n, c, p)]) - mean;
          variance += d * d / count;
        }
      }
      for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
        for (int64_t p = 0; p < area; ++p) {
          const size_t at = index(n, c, p), channel = static_cast<size_t>(c);
          const double factor = static_cast<double>(scale.values[channel]) / std::sqrt(variance + epsilon);
          double value = (static_cast<double>(x.values[at]) - mean) * factor + static_cast<double>(bias.values[channel]);
          // The mean is rounded once, deviations and factor a few times each.
          y.tolerance[at] = floats::kEpsilon * (std::fabs(factor) * (2.0 * std::fabs(mean) + 2.0) * 2.0 + 32.0 * (std::fabs(value) + 1.0));
          if (norm.epilogue == 1) value = std::fmin(std::fmax(value, -0.5), 0.75);
          if (norm.epilogue == 2) value = value / (1.0 + std::exp(-value));
          if (norm.epilogue == 3) value += static_cast<double>(extra.values[at]);
          if (norm.epilogue == 4) value *= static_cast<double>(extra.values[channel]);
          if (norm.epilogue == 5) {
            value = value * static_cast<double>(extra.values[static_cast<size_t>(n * norm.channels + c)]) + static_cast<double>(shift.values[channel]);
            value = value / (1.0 + std::exp(-value));
          }
          y.values[at] = value;
        }
      }
    }
  }
  floats::Case test = {"group_norm", {x, scale, bias}, attributes.all, 0,
                       spatial::text_of(x.shape) + " groups " + std::to_string(norm.groups) + " epilogue " + std::to_string(norm.epilogue)};
  if (!extra.absent) test.inputs.push_back(extra);
  if (!shift.absent) test.inputs.push_back(shift);
  floats::check_shapes(test, {y});
  floats::check(test, {y});
  if (!last) return;
  test.inputs[0] = floats::in_rows(x, 5);
  test.name += " in rows";
  floats::check(test, {y});
}

}  // namespace

void test_group_norm() {
  for (const bool last : {false, true}) {
    run({2, 6, 3, {5, 7}}, last);
    run({1, 32, 32, {9, 3}}, last);
    run({1, 33, 11, {13}}, last);
    run({1, 5, 1, {1}}, last);
    run({1, 4, 2, {67, 67}}, last);   // more than one block, the last one partial
    run({1, 270, 10, {31}}, last);    // channels beyond one chunk, a group across it
    run({1, 8, 8, {3, 5}, 1000.0}, last);
    run({1, 1, 1, {2, 2, 3}}, last);
    for (int epilogue = 1; epilogue <= 5; ++epilogue) run({2, 18, 6, {5, 3}, 0.0, epilogue}, last);
    run({0, 4, 2, {3}}, last);
    run({2, 4, 2, {0, 3}}, last);
    run({2, 0, 0, {3}}, last);
  }
  Tensor x = floats::random({1, 6, 4}, 1), six = floats::random({6}, 1), four = floats::random({4}, 1);
  spatial::Attributes attributes;
  attributes.add("num_groups", int64_t{4});
  floats::check_refused({"group_norm", {x, six, six}, attributes.all, 0, "groups"}, {floats::zeros({1, 6, 4})}, GK_INVALID_ARGUMENT);
  floats::check_refused({"group_norm", {x, six, four}, {}, 0, "bias"}, {floats::zeros({1, 6, 4})}, GK_INVALID_ARGUMENT);
}
