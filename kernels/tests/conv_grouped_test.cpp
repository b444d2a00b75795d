// Convolutions in groups of few filters: channels spread over lanes, broadcast, expanded; around the edges of vectors,
// tiles, lines and bands.
#include "conv_case.h"

namespace {

using namespace conv_case;

double relu(double x, const std::vector<double>&) { return x > 0 ? x : 0.0; }
double sum(double x, const std::vector<double>& operands) { return x + operands[0]; }
double product(double x, const std::vector<double>& operands) { return x * operands[0]; }
double hard_swish(double x, const std::vector<double>&) { return x * std::fmin(std::fmax(x / 6.0 + 0.5, 0.0), 1.0); }

// Groups of as many channels as filters, or not.
void groups() {
  for (const int64_t width : {2, 3, 4, 6, 8, 12, 16, 24}) {
    for (const int64_t group : {2, 3, 5}) {
      const int64_t channels = width * group;
      Case({.x = {1, 6, 9, channels}, .w = {channels, width, 3, 3}, .pads = {1, 1, 1, 1}, .group = group}).check();
      Case({.x = {1, 7, 8, channels}, .w = {channels, width, 3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .group = group})
          .check();
      Case({.x = {2, 3, 5, channels}, .w = {channels, width, 1, 1}, .group = group}).check();
      Case({.x = {1, 4, 7, 2 * channels}, .w = {channels, 2 * width, 3, 3}, .group = group}).check();
      Case({.x = {1, 4, 7, channels}, .w = {3 * channels, width, 3, 3}, .pads = {1, 0, 1, 2}, .group = group}).check();
    }
  }
  Case({.x = {1, 7, 9, 72}, .w = {72, 4, 3, 3}, .pads = {1, 1, 1, 1}, .group = 18}).check();
  Case({.x = {1, 7, 9, 38}, .w = {38, 2, 3, 3}, .pads = {1, 1, 1, 1}, .group = 19}).check();
  for (const int64_t multiplier : {2, 3, 4, 7, 16}) {
    Case({.x = {1, 6, 9, 19}, .w = {19 * multiplier, 1, 3, 3}, .pads = {1, 1, 1, 1}, .group = 19}).check();
    Case({.x = {1, 40, 5}, .w = {5 * multiplier, 1, 6}, .strides = {2}, .pads = {2, 3}, .group = 5}).check();
  }
}

void kernels() {
  for (const int64_t width : {1, 2, 3, 4, 5, 7, 10}) {
    for (const int64_t stride : {1, 2, 3}) {
      Case({.x = {1, 5, 31, 24}, .w = {24, 4, 2, width}, .strides = {1, stride}, .pads = {0, width / 2, 1, width / 2}, .group = 6})
          .check();
      Case({.x = {1, 5, 31, 15}, .w = {20, 3, 2, width}, .strides = {stride, stride}, .pads = {0, width, 1, 0}, .group = 5})
          .check();
    }
  }
  Case({.x = {1, 12, 13, 16}, .w = {16, 4, 3, 3}, .dilations = {2, 3}, .pads = {2, 3, 2, 3}, .group = 4}).check();
  Case({.x = {1, 12, 13, 24}, .w = {24, 12, 3, 3}, .dilations = {3, 2}, .pads = {0, 2, 1, 3}, .group = 2}).check();
  Case({.x = {2, 4, 5, 6, 12}, .w = {12, 4, 3, 2, 3}, .strides = {1, 2, 1}, .pads = {1, 0, 1, 1, 1, 1}, .group = 3}).check();
  Case({.x = {1, 5, 6, 16}, .w = {16, 8, 3, 3}, .pads = {-1, 2, 3, -2}, .group = 2}).check();
  Case({.x = {1, 2, 3, 8}, .w = {8, 4, 3, 3}, .pads = {3, 4, 3, 4}, .group = 2, .bias = false}).check();
  // Lines that are cut into parts, and images of several bands.
  Case({.x = {1, 5, 150, 20}, .w = {20, 4, 3, 3}, .pads = {1, 1, 1, 1}, .group = 5}).check();
  Case({.x = {1, 700, 16}, .w = {16, 8, 3}, .strides = {2}, .pads = {1, 1}, .group = 2}).check();
  Case({.x = {1, 61, 30, 8}, .w = {8, 4, 3, 3}, .strides = {2, 1}, .pads = {1, 1, 1, 1}, .group = 2}).check();
  for (int64_t width = 1; width <= 30; ++width) {
    Case({.x = {1, 2, width, 8}, .w = {8, 4, 1, 3}, .pads = {0, 1, 0, 1}, .group = 2}).check();
  }
}

void epilogues() {
  const std::vector<Conv> convs = {
      {.x = {2, 6, 5, 24}, .w = {24, 4, 3, 3}, .pads = {1, 1, 1, 1}, .group = 6},
      {.x = {2, 6, 5, 24}, .w = {24, 12, 3, 3}, .pads = {1, 1, 1, 1}, .group = 2},
      {.x = {2, 6, 5, 12}, .w = {24, 1, 3, 3}, .pads = {1, 1, 1, 1}, .group = 12},
  };
  for (const Conv& conv : convs) {
    Case(conv, {.program = {k_relu, 1, 1, 0, -1, -1}, .result = 1}, relu).check();
    Case(conv, {.program = {k_hard_swish, 1, 1, 0, -1, -1}, .result = 1}, hard_swish).check();
    for (const std::vector<int64_t>& dims :
         std::vector<std::vector<int64_t>>{{24}, {2, 6, 5, 24}, {2, 1, 1, 24}, {2, 6, 5, 1}, {1}}) {
      Case(conv, {.program = {k_add, 1, 2, 0, 1, -1}, .result = 2, .dims = {dims}}, sum).check();
      Case(conv, {.program = {k_mul, 1, 2, 0, 1, -1}, .result = 2, .dims = {dims}}, product).check();
    }
    for (const auto& [x_gap, y_gap] : {std::pair<int64_t, int64_t>{5, 0}, {0, 3}, {16, 9}}) {
      Case wide(conv, {.program = {k_mul, 1, 2, 0, 1, -1}, .result = 2, .dims = {{24}}}, product);
      wide.widen(x_gap, y_gap);
      wide.check();
    }
    Case infinite(conv);
    infinite.x()[77] = std::numeric_limits<float>::infinity();
    infinite.x()[200] = std::numeric_limits<float>::quiet_NaN();
    infinite.check();
  }
}

}  // namespace

void test_conv_grouped() {
  groups();
  kernels();
  epilogues();
}
