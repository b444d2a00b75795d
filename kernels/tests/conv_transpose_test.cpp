// conv_transpose against plain loops in double that scatter every input into the outputs it meets.
#include <algorithm>

#include "spatial.h"

namespace {

using floats::Expected;
using floats::Tensor;

struct Case {
  std::vector<int64_t> x = {}, w = {};  // [N, spatial…, C], [C, M/group, kernel…]
  std::vector<int64_t> strides = {}, dilations = {}, pads = {}, output_padding = {}, output_shape = {};
  int64_t group = 1;
  const char* auto_pad = "NOTSET";
  bool bias = true;
  int epilogue = 0;  // 1: relu, 2: silu, 3: add Y's shape, then relu, 4: multiply by one number per filter
};

// Sizes of Y and padding before it, per spatial axis.
void resolve(const Case& test, std::vector<int64_t>* out, std::vector<int64_t>* begin) {
  const size_t spatial = test.x.size() - 2;
  const std::string auto_pad = test.auto_pad;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t stride = test.strides.empty() ? 1 : test.strides[i], dilation = test.dilations.empty() ? 1 : test.dilations[i];
    const int64_t extra = test.output_padding.empty() ? 0 : test.output_padding[i];
    const int64_t full = (test.x[i + 1] - 1) * stride + extra + (test.w[i + 2] - 1) * dilation + 1;
    const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
    if (same || !test.output_shape.empty()) {
      out->push_back(test.output_shape.empty() ? test.x[i + 1] * stride : test.output_shape[i]);
      const int64_t total = std::max<int64_t>(0, full - out->back());
      begin->push_back(auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2);
    } else {
      begin->push_back(test.pads.empty() ? 0 : test.pads[i]);
      out->push_back(test.x[i + 1] == 0 ? 0 : full - begin->back() - (test.pads.empty() ? 0 : test.pads[i + spatial]));
    }
  }
}

void run(const Case& given) {
  const size_t spatial = given.x.size() - 2;
  std::vector<int64_t> sizes, begins;
  resolve(given, &sizes, &begins);
  const int64_t channels = given.x.back(), filters = given.w[1] * given.group;
  std::vector<int64_t> shape = {given.x[0]};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  shape.push_back(filters);
  Tensor x = floats::random(given.x, 1), w = floats::random(given.w, 2);
  Tensor bias = given.bias ? floats::random({filters}, 3) : floats::none();
  Tensor extra = given.epilogue == 3 ? floats::random(shape, 4) : given.epilogue == 4 ? floats::random({filters}, 5) : floats::none();
  Expected y = floats::zeros(shape);
  std::vector<double> magnitude = y.values;
  const auto in = spatial::three({given.x.begin() + 1, given.x.end() - 1}, spatial, 1), out = spatial::three(sizes, spatial, 1);
  const auto kernel = spatial::three({given.w.begin() + 2, given.w.end()}, spatial, 1), pad = spatial::three(begins, spatial, 0);
  const auto stride = spatial::three(given.strides, spatial, 1), dilation = spatial::three(given.dilations, spatial, 1);
  const int64_t taps = kernel[0] * kernel[1] * kernel[2], depth = channels / given.group, per_group = given.w[1];
  for (int64_t n = 0; n < given.x[0]; ++n) {
    for (int64_t i = 0; i < in[0] * in[1] * in[2]; ++i) {
      for (int64_t k = 0; k < taps; ++k) {
        const int64_t from[3] = {i / in[2] / in[1], i / in[2] % in[1], i % in[2]};
        const int64_t tap[3] = {k / kernel[2] / kernel[1], k / kernel[2] % kernel[1], k % kernel[2]};
        int64_t o = n;
        bool inside = true;
        for (size_t a = 0; a < 3; ++a) {
          const int64_t to = from[a] * stride[a] + tap[a] * dilation[a] - pad[a];
          inside = inside && to >= 0 && to < out[a];
          o = o * out[a] + to;
        }
        for (int64_t c = 0; inside && c < channels; ++c) {
          const double value = static_cast<double>(x.values[static_cast<size_t>((n * in[0] * in[1] * in[2] + i) * channels + c)]);
          for (int64_t m = 0; m < per_group; ++m) {
            const double product = value * static_cast<double>(w.values[static_cast<size_t>((c * per_group + m) * taps + k)]);
            const size_t at = static_cast<size_t>(o * filters + c / depth * per_group + m);
            y.values[at] += product;
            magnitude[at] += std::fabs(product);
          }
        }
      }
    }
  }
  for (size_t i = 0; i < y.values.size(); ++i) {
    const size_t m = i % static_cast<size_t>(filters);
    double& value = y.values[i];
    if (given.bias) value += static_cast<double>(bias.values[m]);
    y.tolerance[i] = floats::kEpsilon * (static_cast<double>(taps * depth) + 8.0) * (magnitude[i] + 1.0);
    if (given.epilogue == 1) value = std::max(value, 0.0);
    if (given.epilogue == 2) value = value / (1.0 + std::exp(-value));
    if (given.epilogue == 3) value = std::max(value + static_cast<double>(extra.values[i]), 0.0);
    if (given.epilogue == 4) value *= static_cast<double>(extra.values[m]);
  }
  spatial::Attributes attributes;
  attributes.add("strides", given.strides);
  attributes.add("dilations", given.dilations);
  attributes.add("pads", given.pads);
  attributes.add("output_padding", given.output_padding);
  attributes.add("output_shape", given.output_shape);
  attributes.add("group", given.group);
  attributes.text("auto_pad", given.auto_pad);
  if (given.epilogue == 1) attributes.epilogue({spatial::k_relu, 1, 1, 0, -1, -1}, 1, 3);
  if (given.epilogue == 2) attributes.epilogue({spatial::k_silu, 1, 1, 0, -1, -1}, 1, 3);
  if (given.epilogue == 3) attributes.epilogue({spatial::k_add, 1, 2, 0, 1, -1, spatial::k_relu, 1, 3, 2, -1, -1}, 3, 3);
  if (given.epilogue == 4) attributes.epilogue({spatial::k_mul, 1, 2, 0, 1, -1}, 2, 3);
  floats::Case test = {"conv_transpose", {x, w, bias}, attributes.all, 2,
                       spatial::text_of(given.x) + spatial::text_of(given.w) + spatial::text_of(given.strides) +
                           spatial::text_of(given.pads) + " group " + std::to_string(given.group) + " epilogue " + std::to_string(given.epilogue)};
  if (!extra.absent) test.inputs.push_back(extra);
  floats::check_shapes(test, {y});
  floats::check(test, {y});
}

}  // namespace

void test_conv_transpose() {
  for (const int64_t channels : {1, 5}) {
    for (const int64_t filters : {1, 3, 16, 33}) {
      run({.x = {2, 3, 4, channels}, .w = {channels, filters, 2, 2}, .strides = {2, 2}});
      run({.x = {1, 4, 3, channels}, .w = {channels, filters, 4, 4}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});
      run({.x = {1, 4, 5, channels}, .w = {channels, filters, 3, 3}, .pads = {1, 0, 1, 2}});
    }
  }
  // Kernels smaller than the stride leave outputs that are bias alone.
  run({.x = {1, 3, 3, 2}, .w = {2, 3, 2, 1}, .strides = {3, 2}, .output_padding = {2, 1}});
  run({.x = {1, 3, 4, 2}, .w = {2, 3, 3, 3}, .strides = {2, 3}, .dilations = {2, 2}, .pads = {1, 0, 0, 1}, .bias = false});
  run({.x = {1, 3, 4, 2}, .w = {2, 3, 3, 3}, .strides = {1, 1}, .pads = {-1, 0, -1, -2}});
  run({.x = {2, 7, 3}, .w = {3, 2, 16}, .strides = {8}, .pads = {4, 4}});                        // 1-D, as vocoders have it
  run({.x = {1, 2, 3, 2, 3}, .w = {3, 2, 2, 3, 2}, .strides = {2, 1, 2}, .pads = {0, 1, 0, 1, 1, 0}});  // 3-D
  run({.x = {1, 3, 3, 6}, .w = {6, 4, 3, 3}, .strides = {2, 2}, .group = 2});
  run({.x = {1, 3, 3, 19}, .w = {19, 1, 4, 4}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .group = 19});  // by channel
  for (const int64_t dilation : {1, 2, 3, 4}) {
    run({.x = {2, 5, 4, 7}, .w = {7, 1, 5, 3}, .strides = {2, 3}, .dilations = {dilation, dilation}, .pads = {2, 1, 0, 3}, .group = 7});
    run({.x = {1, 4, 3, 3}, .w = {3, 1, 2, 4}, .strides = {3, 4}, .dilations = {2, dilation}, .pads = {-1, 0, 2, -2}, .group = 3});
  }
  run({.x = {1, 3, 2, 4, 5}, .w = {5, 1, 3, 2, 4}, .strides = {2, 1, 2}, .pads = {1, 0, 1, 1, 0, 1}, .group = 5});
  run({.x = {1, 5, 6, 33}, .w = {33, 1, 9, 11}, .pads = {4, 5, 4, 5}, .group = 33});  // in more taps than wait at a time
  run({.x = {1, 5, 2}, .w = {2, 3, 300}, .pads = {100, 99}});  // more taps than row pointers
  // Few filters: patches that overlap, kernels of any multiple of the stride or none, cropped on any side.
  for (const int64_t filters : {1, 2, 3, 5, 8}) {
    run({.x = {2, 9, 11, 20}, .w = {20, filters, 9, 9}, .strides = {3, 3}, .pads = {3, 4, 4, 2}, .output_padding = {1, 2}});
    run({.x = {1, 8, 7, 33}, .w = {33, filters, 4, 4}, .strides = {2, 2}, .pads = {1, 0, 2, 1}});
    run({.x = {1, 6, 7, 40}, .w = {40, filters, 5, 2}, .strides = {3, 3}, .pads = {-1, 1, 0, -2}, .bias = false});
    run({.x = {1, 40, 5, 24}, .w = {24, filters, 3, 3}, .strides = {1, 2}, .pads = {1, 1, 1, 1}});
  }
  run({.x = {1, 3, 230, 24}, .w = {24, 3, 4, 4}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});  // more pixels than wait at a time
  run({.x = {2, 2, 3, 4, 24}, .w = {24, 2, 1, 4, 4}, .strides = {1, 2, 2}, .pads = {0, 1, 1, 0, 1, 1}});
  run({.x = {1, 3, 300, 3}, .w = {3, 1, 2, 2}, .strides = {2, 2}});
  run({.x = {1, 3, 3, 1}, .w = {1, 2, 3, 3}, .strides = {3, 2}, .output_shape = {10, 8}});
  run({.x = {1, 3, 3, 1}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .auto_pad = "SAME_UPPER"});
  run({.x = {1, 3, 3, 1}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .auto_pad = "SAME_LOWER"});
  run({.x = {1, 3, 3, 1}, .w = {1, 2, 3, 3}, .strides = {3, 2}, .output_shape = {8, 5}, .auto_pad = "SAME_UPPER"});
  run({.x = {0, 3, 3, 2}, .w = {2, 2, 3, 3}});
  run({.x = {1, 3, 3, 0}, .w = {0, 2, 3, 3}});
  run({.x = {1, 0, 3, 2}, .w = {2, 2, 3, 3}});
  for (int epilogue = 1; epilogue <= 4; ++epilogue) {
    for (const int64_t batch : {1, 2}) {
      run({.x = {batch, 3, 4, 5}, .w = {5, 18, 4, 4}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .epilogue = epilogue});
      run({.x = {batch, 3, 4, 5}, .w = {5, 1, 3, 3}, .strides = {2, 2}, .group = 5, .epilogue = epilogue});
      run({.x = {batch, 7, 6, 30}, .w = {30, 3, 4, 4}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .epilogue = epilogue});
      run({.x = {batch, 3, 4, 5}, .w = {5, 3, 2, 2}, .strides = {2, 2}, .epilogue = epilogue});
    }
  }
  Tensor x = floats::random({1, 3, 3, 4}, 1), w = floats::random({3, 2, 3, 3}, 1);
  floats::check_refused({"conv_transpose", {x, w}, {}, 0, "channels"}, {floats::zeros({1, 5, 5, 2})}, GK_INVALID_ARGUMENT);
}
