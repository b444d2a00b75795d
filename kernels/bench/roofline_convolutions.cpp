// Convolutions of known models: plain, grouped, depthwise, first layers, transposed; images and signals.
#include "roofline_cases.h"

namespace roofline {
namespace {

// A height of 0 makes it one-dimensional; a kernel height of 0, as high as wide.
struct ConvCase {
  int64_t height, width, channels, filters, kernel, stride = 1, group = 1, dilation = 1, kernel_height = 0, pad = -1;
};

std::string text_of(const char* kind, const ConvCase& c, int64_t kernel_height) {
  std::string text = kind;
  text.append(c.height == 0 ? by({c.kernel}) : by({kernel_height, c.kernel}));
  text.append(" ").append(by({c.channels, c.filters}));
  text.append(" at ").append(c.height == 0 ? by({c.width}) : by({c.height, c.width}));
  if (c.stride > 1) text.append(" stride ").append(std::to_string(c.stride));
  if (c.group > 1 && c.group < c.channels) text.append(" group ").append(std::to_string(c.group));
  if (c.dilation > 1) text.append(" dilation ").append(std::to_string(c.dilation));
  return text;
}

// The spatial axes of a case: the last of them, or both.
std::vector<int64_t> axes(const ConvCase& c, int64_t height, int64_t width) {
  return c.height == 0 ? std::vector<int64_t>{width} : std::vector<int64_t>{height, width};
}

std::vector<int64_t> shape(int64_t before, const std::vector<int64_t>& spatial, int64_t behind) {
  std::vector<int64_t> dims = {before};
  dims.insert(dims.end(), spatial.begin(), spatial.end());
  dims.push_back(behind);
  return dims;
}

Case with_attributes(Case test, const ConvCase& c, int64_t pad_height, int64_t pad_width) {
  std::vector<int64_t> pads = axes(c, pad_height, pad_width);
  const std::vector<int64_t> ends = pads;
  pads.insert(pads.end(), ends.begin(), ends.end());
  test.ints = {{"strides", axes(c, c.stride, c.stride)}, {"dilations", axes(c, c.dilation, c.dilation)},
               {"pads", pads}, {"group", {c.group}}};
  test.lists = {"strides", "dilations", "pads"};
  return test;
}

Case conv(const ConvCase& c) {
  const int64_t kernel_height = c.height == 0 ? 1 : c.kernel_height == 0 ? c.kernel : c.kernel_height;
  const int64_t depth = c.channels / c.group;
  const auto pad = [&](int64_t kernel) { return c.pad >= 0 ? c.pad : ((kernel - 1) * c.dilation + 1) / 2; };
  const auto out = [&](int64_t in, int64_t kernel) {
    return (in + 2 * pad(kernel) - (kernel - 1) * c.dilation - 1) / c.stride + 1;
  };
  const int64_t height = c.height == 0 ? 1 : out(c.height, kernel_height), width = out(c.width, c.kernel);
  std::vector<int64_t> weights = {c.filters, depth};
  for (const int64_t size : axes(c, kernel_height, c.kernel)) weights.push_back(size);
  const bool depthwise = c.group > 1 && c.group == c.channels;
  Case test = {"conv", text_of(depthwise ? "depthwise " : "conv ", c, kernel_height),
               {{kF32, shape(1, axes(c, c.height, c.width), c.channels), {}}, {kF32, weights, {}, true},
                {kF32, {c.filters}, {}, true}},
               {{kF32, shape(1, axes(c, height, width), c.filters), {}}}, {}, {}, 0, 0};
  return finished(with_attributes(std::move(test), c, pad(kernel_height), pad(c.kernel)),
                  2.0 * static_cast<double>(height * width * c.filters * depth * kernel_height * c.kernel));
}

// Kernels of a multiple of the stride, cut so that Y is `stride` times X.
Case conv_transpose(const ConvCase& c) {
  const int64_t pad = (c.kernel - c.stride) / 2, rows = c.height == 0 ? 1 : c.height;
  const int64_t depth = c.filters / c.group;
  std::vector<int64_t> weights = {c.channels, depth};
  for (const int64_t size : axes(c, c.kernel, c.kernel)) weights.push_back(size);
  const auto out = [&](int64_t in) { return (in - 1) * c.stride + c.kernel - 2 * pad; };
  Case test = {"conv_transpose", text_of("transposed ", c, c.kernel),
               {{kF32, shape(1, axes(c, c.height, c.width), c.channels), {}}, {kF32, weights, {}, true},
                {kF32, {c.filters}, {}, true}},
               {{kF32, shape(1, axes(c, out(c.height), out(c.width)), c.filters), {}}}, {}, {}, 0, 0};
  const int64_t taps = c.kernel * (c.height == 0 ? 1 : c.kernel);
  return finished(with_attributes(std::move(test), c, pad, pad),
                  2.0 * static_cast<double>(rows * c.width * c.channels * depth * taps));
}

const ConvCase kPlain[] = {
    {56, 56, 64, 64, 3}, {28, 28, 128, 128, 3}, {14, 14, 256, 256, 3}, {7, 7, 512, 512, 3}, {56, 56, 64, 256, 1},
    {14, 14, 1024, 256, 1}, {56, 56, 128, 128, 3, 2}, {80, 80, 24, 72, 1}, {40, 40, 120, 40, 1}};

// 3, 1 or 2 channels.
const ConvCase kFirst[] = {{224, 224, 3, 64, 7, 2}, {224, 224, 3, 32, 3, 2}, {224, 224, 3, 16, 3, 2},
                           {224, 224, 3, 24, 3, 2}, {224, 224, 3, 64, 3}, {320, 320, 3, 16, 6, 2, 1, 1, 0, 2},
                           {224, 224, 3, 96, 4, 4, 1, 1, 0, 0}, {224, 224, 3, 384, 16, 16, 1, 1, 0, 0},
                           {64, 64, 1, 32, 3}, {28, 28, 1, 8, 5}, {80, 500, 1, 64, 3, 2}, {0, 16000, 1, 512, 10, 5, 1, 1, 0, 0}};

// ResNeXt, RegNet, ShuffleNet, wav2vec.
const ConvCase kGrouped[] = {{56, 56, 128, 128, 3, 1, 32}, {56, 56, 256, 256, 3, 2, 32}, {28, 28, 256, 256, 3, 1, 32},
                             {14, 14, 512, 512, 3, 1, 32}, {7, 7, 1024, 1024, 3, 1, 32}, {28, 28, 168, 168, 3, 1, 7},
                             {14, 14, 320, 320, 3, 1, 8}, {28, 28, 240, 60, 1, 1, 3}, {28, 28, 60, 240, 1, 1, 3},
                             {28, 28, 384, 96, 1, 1, 8}, {28, 28, 96, 384, 1, 1, 8}, {56, 56, 64, 64, 3, 1, 32},
                             {0, 249, 768, 768, 128, 1, 16}};

const ConvCase kDepthwise[] = {
    {112, 112, 32, 32, 3, 1, 32}, {56, 56, 96, 96, 3, 2, 96}, {14, 14, 480, 480, 5, 1, 480},
    {56, 56, 96, 96, 7, 1, 96}, {7, 7, 768, 768, 7, 1, 768}, {28, 28, 240, 240, 5, 2, 240}, {28, 28, 128, 128, 9, 1, 128},
    {28, 28, 128, 128, 11, 1, 128}, {28, 28, 128, 128, 31, 1, 128}, {33, 33, 576, 576, 3, 1, 576, 2},
    {33, 33, 256, 256, 3, 1, 256, 12}, {56, 56, 32, 64, 3, 1, 32}, {28, 28, 64, 256, 3, 1, 64}, {0, 250, 256, 256, 31, 1, 256},
    {0, 250, 256, 256, 15, 1, 256}, {0, 1000, 512, 512, 3, 1, 512, 16}, {0, 4000, 512, 512, 3, 1, 512},
    {56, 56, 64, 64, 1, 1, 64, 1, 21}, {56, 56, 64, 64, 4, 2, 64}};

const ConvCase kTransposed[] = {{64, 64, 64, 32, 2, 2}, {32, 32, 128, 64, 4, 2}, {32, 32, 64, 3, 4, 2}, {64, 64, 16, 8, 2, 2},
                                {64, 64, 16, 8, 4, 2}, {0, 256, 256, 128, 16, 8}, {0, 2048, 64, 32, 4, 2},
                                {32, 32, 56, 1, 9, 3}, {64, 64, 32, 32, 3, 1}, {32, 32, 64, 64, 4, 2, 64}};

}  // namespace

std::vector<Case> convolutions() {
  std::vector<Case> all;
  for (const ConvCase& c : kPlain) all.push_back(conv(c));
  for (const ConvCase& c : kFirst) all.push_back(conv(c));
  for (const ConvCase& c : kGrouped) all.push_back(conv(c));
  for (const ConvCase& c : kDepthwise) all.push_back(conv(c));
  for (const ConvCase& c : kTransposed) all.push_back(conv_transpose(c));
  return all;
}

}  // namespace roofline
