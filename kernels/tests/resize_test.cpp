// resize against ONNX's definition, element by element: the weight of an input is the product of its weights per axis.
#include <algorithm>

#include "spatial.h"

namespace {

using floats::Expected;
using floats::Tensor;

struct Case {
  std::vector<int64_t> x = {}, y = {};
  std::string mode = "nearest", coordinates = "half_pixel", rounding = "round_prefer_floor", policy = "stretch";
  std::vector<float> scales = {};
  std::vector<int64_t> sizes = {}, axes = {};
  std::vector<float> roi = {};
  int64_t antialias = 0, exclude_outside = 0;
  double cubic = -0.75, extrapolation = 0.0;
};

struct Axis {
  int64_t in, out;
  double scale, start = 0.0, end = 1.0;
};

double coordinate(const Case& test, const Axis& axis, int64_t o) {
  const double x = static_cast<double>(o), in = static_cast<double>(axis.in), out = static_cast<double>(axis.out);
  const double corners = in * axis.scale;
  if (test.coordinates == "asymmetric") return x / axis.scale;
  if (test.coordinates == "align_corners") return corners == 1.0 ? 0.0 : x * (in - 1.0) / (corners - 1.0);
  if (test.coordinates == "pytorch_half_pixel" && out == 1.0) return 0.0;
  if (test.coordinates == "half_pixel_symmetric") {
    return in / 2.0 * (1.0 - out / (axis.scale * in)) + (x + 0.5) / axis.scale - 0.5;
  }
  if (test.coordinates == "tf_crop_and_resize") {
    if (corners == 1.0) return 0.5 * (axis.start + axis.end) * (in - 1.0);
    return axis.start * (in - 1.0) + x * (axis.end - axis.start) * (in - 1.0) / (corners - 1.0);
  }
  return (x + 0.5) / axis.scale - 0.5;
}

double kernel(const Case& test, double x) {
  x = std::fabs(x);
  if (test.mode == "linear") return std::max(0.0, 1.0 - x);
  if (x <= 1.0) return (test.cubic + 2.0) * x * x * x - (test.cubic + 3.0) * x * x + 1.0;
  return x < 2.0 ? test.cubic * (x * x * x - 5.0 * x * x + 8.0 * x - 4.0) : 0.0;
}

// A weight for every input; empty: the extrapolation value.
std::vector<double> weights_of(const Case& test, const Axis& axis, int64_t o) {
  const double x = coordinate(test, axis, o);
  std::vector<double> weights(static_cast<size_t>(axis.in), 0.0);
  const int64_t last = axis.in - 1;
  if (test.coordinates == "tf_crop_and_resize" && (x < 0.0 || x > static_cast<double>(last))) return {};
  if (test.mode == "nearest") {
    double at = std::floor(x);
    if (test.rounding == "ceil") at = std::ceil(x);
    if (test.rounding == "round_prefer_floor") at = std::ceil(x - 0.5);
    if (test.rounding == "round_prefer_ceil") at = std::floor(x + 0.5);
    weights[static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(at), 0, last))] = 1.0;
    return weights;
  }
  const double step = test.antialias != 0 ? std::min(axis.scale, 1.0) : 1.0;
  double total = 0.0;
  for (int64_t i = static_cast<int64_t>(x - 2.0 / step) - 2; i <= static_cast<int64_t>(x + 2.0 / step) + 2; ++i) {
    const double weight = kernel(test, (static_cast<double>(i) - x) * step);
    if (test.exclude_outside != 0 && (i < 0 || i > last)) continue;
    weights[static_cast<size_t>(std::clamp<int64_t>(i, 0, last))] += weight;
    total += weight;
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

void run(const Case& given) {
  Tensor x = floats::random(given.x, 11);
  const size_t rank = given.x.size();
  std::vector<int64_t> axes = given.axes;
  for (size_t i = 0; given.axes.empty() && i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  std::vector<Axis> of(rank);
  for (size_t i = 0; i < rank; ++i) of[i] = {given.x[i], given.y[i], 1.0};
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = of[static_cast<size_t>(axes[i] < 0 ? axes[i] + static_cast<int64_t>(rank) : axes[i])];
    axis.scale = given.scales.empty() ? static_cast<double>(axis.out) / static_cast<double>(axis.in) : static_cast<double>(given.scales[i]);
    if (given.policy != "stretch") {
      axis.scale = given.policy == "not_larger" ? INFINITY : 0.0;
      for (size_t j = 0; j < axes.size(); ++j) {
        const double ratio = static_cast<double>(given.sizes[j]) / static_cast<double>(given.x[static_cast<size_t>(axes[j])]);
        axis.scale = given.policy == "not_larger" ? std::min(axis.scale, ratio) : std::max(axis.scale, ratio);
      }
    }
    if (!given.roi.empty()) {
      axis.start = static_cast<double>(given.roi[i]);
      axis.end = static_cast<double>(given.roi[axes.size() + i]);
    }
  }
  Expected y = floats::zeros(given.y);
  for (int64_t o = 0; o < floats::count_of(given.y); ++o) {
    // The product over axes, expanded one axis at a time: index → weight.
    std::vector<std::pair<int64_t, double>> reads = {{0, 1.0}};
    int64_t rest = o, stride = 1;
    bool outside = false;
    for (size_t a = rank; a-- > 0;) {
      const std::vector<double> weights = weights_of(given, of[a], rest % given.y[a]);
      rest /= given.y[a];
      outside = outside || weights.empty();
      std::vector<std::pair<int64_t, double>> next;
      for (const auto& [index, weight] : reads) {
        for (size_t i = 0; i < weights.size(); ++i) {
          if (weights[i] != 0.0) next.emplace_back(index + static_cast<int64_t>(i) * stride, weight * weights[i]);
        }
      }
      reads = next;
      stride *= given.x[a];
    }
    double value = outside ? given.extrapolation : 0.0, magnitude = 1.0;
    for (const auto& [index, weight] : reads) {
      if (outside) break;
      value += weight * static_cast<double>(x.values[static_cast<size_t>(index)]);
      magnitude += std::fabs(weight);
    }
    y.values[static_cast<size_t>(o)] = value;
    // Coordinates are float32: up to their size in ulps.
    const double size = static_cast<double>(*std::max_element(given.x.begin(), given.x.end()));
    y.tolerance[static_cast<size_t>(o)] = given.mode == "nearest" ? 0.0 : floats::kEpsilon * (16.0 * size + 16.0) * magnitude;
  }
  spatial::Attributes attributes;
  attributes.text("mode", given.mode.c_str());
  attributes.text("coordinate_transformation_mode", given.coordinates.c_str());
  attributes.text("nearest_mode", given.rounding.c_str());
  attributes.text("keep_aspect_ratio_policy", given.policy.c_str());
  attributes.add("axes", given.axes);
  attributes.add("antialias", given.antialias);
  attributes.add("exclude_outside", given.exclude_outside);
  attributes.number("cubic_coeff_a", given.cubic);
  attributes.number("extrapolation_value", given.extrapolation);
  Tensor roi = floats::none(), scales = floats::none(), sizes = floats::none();
  if (!given.roi.empty()) {
    roi = floats::random({static_cast<int64_t>(given.roi.size())}, 1);
    roi.values = given.roi;
  }
  if (!given.scales.empty()) {
    scales = floats::random({static_cast<int64_t>(given.scales.size())}, 1);
    scales.values = given.scales;
  } else {
    const std::vector<int64_t> values = given.policy == "stretch" && given.axes.empty() ? given.y : given.sizes;
    sizes = floats::of_bytes<int64_t>(kI64, {static_cast<int64_t>(values.size())}, values);
  }
  floats::Case test = {"resize", {x, roi, scales, sizes}, attributes.all, 14,
                       given.mode + " " + given.coordinates + " " + spatial::text_of(given.x) + spatial::text_of(given.y)};
  // Shapes depend on contents, which only this test knows.
  std::vector<graphopt::Operand> operands;
  for (Tensor& input : test.inputs) {
    graphopt::Operand operand;
    if (!input.absent) {
      operand = {true, {input.dtype, {}}, input.raw().data};
      operand.type.dims.rank = static_cast<int>(input.shape.size());
      for (size_t i = 0; i < input.shape.size(); ++i) operand.type.dims[static_cast<int>(i)] = input.shape[i];
    }
    operands.push_back(operand);
  }
  std::vector<graphopt::TensorType> types(1);
  graphopt::ShapeCall call = {operands, {test.attributes.data(), static_cast<int>(test.attributes.size())}, types, {}};
  CHECK_WITH(graphopt::find_op("resize")->shapes(call), test.name + ": " + call.error);
  for (size_t i = 0; i < given.y.size(); ++i) CHECK_WITH(types[0].dims[static_cast<int>(i)] == given.y[i], test.name);
  floats::check(test, {y});
}

// Other dtypes: nearest moves bytes.
void run_bytes(int64_t element) {
  const gk_dtype dtype = {GK_UINT, static_cast<uint8_t>(8 * element), 1};
  std::vector<int64_t> from = {1, 2, 3, 2}, to = {1, 4, 5, 2}, sizes = to, count = {4};
  std::vector<unsigned char> x(static_cast<size_t>(12 * element)), y(static_cast<size_t>(40 * element) + 1, 0xa5);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<unsigned char>(i + 1);
  for (const int32_t isa : supported_levels()) {
    Call call;
    const gk_tensor none = {nullptr, {GK_CPU, 0}, -1, kF32, nullptr, nullptr, 0};
    call.inputs = {{x.data(), {GK_CPU, 0}, 4, dtype, from.data(), nullptr, 0}, none, none, vector_of(sizes.data(), kI64, count.data())};
    call.outputs = {{y.data(), {GK_CPU, 0}, 4, dtype, to.data(), nullptr, 0}};
    call.attributes = {floats::text("coordinate_transformation_mode", "asymmetric"), floats::text("nearest_mode", "floor")};
    call.raw.isa = isa;
    std::vector<char> workspace(4096);
    call.raw.workspace = {workspace.data(), workspace.size()};
    CHECK(gk_run_kernel("resize", call.get()) == GK_OK);
    bool right = y.back() == 0xa5;
    for (int64_t i = 0; i < 40 * element; ++i) {
      const int64_t byte = i % (2 * element), w = i / (2 * element) % 5, h = i / (2 * element) / 5;
      right = right && y[static_cast<size_t>(i)] == x[static_cast<size_t>(((h / 2) * 3 + w * 3 / 5) * 2 * element + byte)];
    }
    CHECK_WITH(right, std::to_string(element));
  }
}

}  // namespace

void test_resize() {
  for (const char* coordinates : {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}) {
    for (const char* mode : {"linear", "cubic"}) {
      for (const int64_t antialias : {0, 1}) {
        run({.x = {1, 2, 5, 7}, .y = {1, 2, 8, 3}, .mode = mode, .coordinates = coordinates, .antialias = antialias});
        run({.x = {1, 5, 7, 18}, .y = {1, 2, 13, 18}, .mode = mode, .coordinates = coordinates, .antialias = antialias});
        run({.x = {2, 9}, .y = {2, 1}, .mode = mode, .coordinates = coordinates, .antialias = antialias});
      }
      run({.x = {1, 1, 4, 5}, .y = {1, 1, 7, 4}, .mode = mode, .coordinates = coordinates, .scales = {1.0f, 1.0f, 1.9f, 0.8f}});
    }
    run({.x = {1, 4, 6, 3}, .y = {1, 8, 12, 3}, .coordinates = coordinates, .scales = {1.0f, 2.0f, 2.0f, 1.0f}});
    for (const char* rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}) {
      run({.x = {1, 2, 4, 8}, .y = {1, 2, 2, 16}, .coordinates = coordinates, .rounding = rounding});
    }
  }
  run({.x = {1, 3, 3, 19}, .y = {1, 12, 6, 19}, .coordinates = "asymmetric", .rounding = "floor", .scales = {1.0f, 4.0f, 2.0f, 1.0f}});
  run({.x = {3, 4, 5}, .y = {6, 8, 15}, .coordinates = "asymmetric", .rounding = "floor"});
  run({.x = {4, 4}, .y = {7, 8}, .mode = "cubic", .exclude_outside = 1, .cubic = -0.5});
  run({.x = {8, 9}, .y = {3, 4}, .mode = "cubic", .antialias = 1, .exclude_outside = 1});
  run({.x = {1, 40, 2}, .y = {1, 3, 2}, .mode = "linear", .antialias = 1});
  run({.x = {2, 3, 4, 5}, .y = {2, 3, 7, 11}, .mode = "linear", .sizes = {11, 7}, .axes = {3, -2}});
  run({.x = {1, 3, 4, 6}, .y = {1, 3, 5, 8}, .mode = "linear", .policy = "not_larger", .sizes = {7, 8}, .axes = {2, 3}});
  run({.x = {1, 3, 4, 6}, .y = {1, 3, 7, 11}, .mode = "linear", .policy = "not_smaller", .sizes = {7, 8}, .axes = {2, 3}});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    run({.x = {1, 4, 4}, .y = {1, 3, 3}, .mode = mode, .coordinates = "tf_crop_and_resize", .roi = {0, 0.3f, 0.6f, 1, 0.65f, 0.8f}});
    run({.x = {1, 4, 4}, .y = {1, 3, 5}, .mode = mode, .coordinates = "tf_crop_and_resize", .roi = {0, 0.3f, 0.6f, 1, 1.15f, 1.7f}, .extrapolation = 10.0});
    run({.x = {0, 4, 4}, .y = {0, 8, 8}, .mode = mode, .scales = {1, 2, 2}});
    run({.x = {2, 3}, .y = {2, 3}, .mode = mode});
    run({.x = {2, 1}, .y = {2, 70}, .mode = mode});
    run({.x = {37, 40}, .y = {37, 80}, .mode = mode});
    run({.x = {3, 65}, .y = {3, 33}, .mode = mode});
    run({.x = {2, 224}, .y = {2, 50}, .mode = mode});
    run({.x = {1, 2, 9, 56}, .y = {1, 2, 18, 65}, .mode = mode, .coordinates = "align_corners"});
    run({.x = {2, 70}, .y = {2, 100}, .mode = mode, .coordinates = "tf_crop_and_resize", .roi = {0, 0.2f, 1, 1.3f}, .extrapolation = -2.0});
  }
  for (const int64_t element : {1, 2, 4, 8}) run_bytes(element);
  // A scale that does not lead to this output.
  Tensor x = floats::random({4}, 1), scales = floats::random({1}, 1);
  scales.values[0] = 3.0f;
  for (const int32_t isa : supported_levels()) {
    floats::Case test = {"resize", {x, floats::none(), scales}, {}, 0, "scale"};
    CHECK(floats::run_once(test, {floats::zeros({8})}, isa, {false, false, 0}).status == GK_INVALID_ARGUMENT);
  }
}
