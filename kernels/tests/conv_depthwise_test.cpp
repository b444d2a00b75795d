// Depthwise convolutions through conv, around the edges of their register tiles: every kernel width that has code of its
// own and some that have none, one and two rows, eight, four and two pixels, vectors of channels that are not full.
#include "spatial.h"

namespace {

struct Case {
  int64_t height, width, channels, kernel_h, kernel_w, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  std::vector<int64_t> pads = {};
  int64_t multiplier = 1;
  int epilogue = 0;  // 1: relu, 2: hard_swish, 3: add Y's shape
  bool special = false;
};

void run(const Case& given) {
  std::vector<int64_t> pads = given.pads;
  if (pads.empty()) pads = {given.kernel_h / 2, given.kernel_w / 2, given.kernel_h / 2, given.kernel_w / 2};
  const int64_t out_h = (given.height + pads[0] + pads[2] - (given.kernel_h - 1) * given.dilation_h - 1) / given.stride_h + 1;
  const int64_t out_w = (given.width + pads[1] + pads[3] - (given.kernel_w - 1) * given.dilation_w - 1) / given.stride_w + 1;
  const int64_t filters = given.channels * given.multiplier, batch = 2;
  floats::Tensor x = floats::random({batch, given.height, given.width, given.channels}, 1);
  floats::Tensor w = floats::random({filters, 1, given.kernel_h, given.kernel_w}, 2), bias = floats::random({filters}, 3);
  floats::Tensor extra = floats::random({batch, out_h, out_w, filters}, 4);
  if (given.special) {
    x.values[x.values.size() / 2] = NAN;
    x.values[x.values.size() / 3] = INFINITY;
  }
  floats::Expected y = floats::zeros(extra.shape);
  for (int64_t at = 0; at < floats::count_of(extra.shape); ++at) {
    const int64_t m = at % filters, ow = at / filters % out_w, oh = at / filters / out_w % out_h, n = at / filters / out_w / out_h;
    double sum = static_cast<double>(bias.values[static_cast<size_t>(m)]), magnitude = 1.0;
    for (int64_t kh = 0; kh < given.kernel_h; ++kh) {
      for (int64_t kw = 0; kw < given.kernel_w; ++kw) {
        const int64_t ih = oh * given.stride_h + kh * given.dilation_h - pads[0], iw = ow * given.stride_w + kw * given.dilation_w - pads[1];
        if (ih < 0 || ih >= given.height || iw < 0 || iw >= given.width) continue;
        const int64_t from = ((n * given.height + ih) * given.width + iw) * given.channels + m / given.multiplier;
        const double product = static_cast<double>(x.values[static_cast<size_t>(from)]) *
                               static_cast<double>(w.values[static_cast<size_t>((m * given.kernel_h + kh) * given.kernel_w + kw)]);
        sum += product;
        magnitude += std::fabs(product);
      }
    }
    const size_t i = static_cast<size_t>(at);
    if (given.epilogue == 1 && sum < 0.0) sum = 0.0;
    if (given.epilogue == 2) sum *= std::fmin(std::fmax(sum / 6.0 + 0.5, 0.0), 1.0);
    if (given.epilogue == 3) sum += static_cast<double>(extra.values[i]);
    y.values[i] = sum;
    y.tolerance[i] = floats::kEpsilon * (2.0 * static_cast<double>(given.kernel_h * given.kernel_w) + 8.0) * magnitude;
  }
  spatial::Attributes attributes;
  attributes.add("strides", {given.stride_h, given.stride_w});
  attributes.add("dilations", {given.dilation_h, given.dilation_w});
  attributes.add("pads", pads);
  attributes.add("group", given.channels);
  if (given.epilogue == 1) attributes.epilogue({spatial::k_relu, 1, 1, 0, -1, -1}, 1, 3);
  if (given.epilogue == 2) attributes.epilogue({spatial::k_hard_swish, 1, 1, 0, -1, -1}, 1, 3);
  if (given.epilogue == 3) attributes.epilogue({spatial::k_add, 1, 2, 0, 1, -1}, 2, 3);
  floats::Case test = {"conv", {x, w, bias}, attributes.all, 6,
                       spatial::text_of(x.shape) + spatial::text_of(w.shape) + " strides " + std::to_string(given.stride_h) +
                           std::to_string(given.stride_w) + " dilations " + std::to_string(given.dilation_h) +
                           std::to_string(given.dilation_w) + " epilogue " + std::to_string(given.epilogue)};
  if (given.epilogue == 3) test.inputs.push_back(extra);
  floats::check(test, {y});
}

}  // namespace

void test_conv_depthwise() {
  for (const int64_t kernel : {1, 2, 3, 5, 7}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t width : {7, 19}) run({5, width, 18, kernel, kernel, stride, stride});
    }
  }
  for (const int64_t channels : {2, 3, 8, 16, 31, 33, 48}) {
    run({4, 11, channels, 3, 3});
    run({3, 11, channels, 5, 5, 2, 1});
    run({4, 9, channels, 3, 4, 1, 2, 2, 1});
  }
  for (int64_t width = 1; width <= 10; ++width) run({2, width, 17, 3, 3});
  run({1, 150, 16, 1, 3});                                // one row, cut into segments
  run({3, 70, 5, 1, 40, 1, 1, 1, 1, {0, 20, 0, 19}});      // more taps than pointers
  run({9, 9, 20, 3, 3, 1, 1, 3, 3, {3, 3, 3, 3}});
  run({6, 6, 20, 3, 3, 1, 1, 1, 1, {0, 3, 4, 2}});         // outputs that see nothing but padding
  run({6, 9, 20, 5, 5, 1, 1, 1, 1, {-1, 2, 1, -2}});       // cropped
  run({8, 6, 5, 8, 3});                                   // a kernel higher than fast tiles take
  // Kernels of widths without code of their own, taken some taps at a time.
  for (const int64_t kernel : {4, 6, 8, 9, 11, 13, 15, 31}) {
    run({5, 23, 20, 3, kernel});
    run({6, 24, 17, 2, kernel, 2, 2});
  }
  run({13, 14, 18, 13, 13});
  run({21, 5, 16, 21, 1});
  run({6, 3, 20, 3, 9});
  run({3, 200, 16, 9, 200, 1, 1, 1, 1, {4, 100, 4, 99}});  // too many pointers for one tile
  // Dilated lines: every dilation-th pixel is a neighbour.
  for (const int64_t dilation : {2, 5, 12}) {
    run({7, 29, 20, 3, 3, 1, 1, dilation, dilation, {dilation, dilation, dilation, dilation}});
    run({3, 31, 33, 1, 5, 1, 1, 1, dilation, {0, 2 * dilation, 0, 2 * dilation}});
    run({3, 61, 9, 1, 3, 1, 2, 1, dilation, {0, dilation, 0, 0}});
  }
  run({1, 300, 17, 1, 3, 1, 1, 1, 16, {0, 32, 0, 0}});
  run({2, 70, 33, 1, 9, 1, 1, 1, 3, {0, 12, 0, 12}, 1, 3});
  for (const int64_t multiplier : {2, 3, 4, 16, 20}) {
    run({4, 5, 3, 3, 3, 1, 1, 1, 1, {}, multiplier});
    run({4, 5, 20, 3, 3, 2, 2, 1, 1, {}, multiplier});
  }
  for (int epilogue = 1; epilogue <= 3; ++epilogue) {
    run({5, 11, 18, 3, 3, 1, 1, 1, 1, {}, 1, epilogue});
    run({5, 11, 9, 3, 3, 1, 1, 2, 2, {}, 2, epilogue});
  }
  run({6, 10, 17, 3, 3, 1, 1, 1, 1, {}, 1, 0, true});
}
