// conv: every algorithm on every level, around the edges of its tiles.
#include "conv_case.h"

namespace {

using namespace conv_case;

typedef std::vector<int64_t> Dims;

constexpr int64_t kFloat = 1;  // ONNX's number of float32

void shapes() {
  // 1×1, with and without stride, channels around the lanes.
  for (const int64_t channels : {1, 3, 16, 17, 33}) {
    for (const int64_t filters : {1, 7, 16, 31, 32, 33, 65}) {
      Case({.x = {1, 5, 3, channels}, .w = {filters, channels, 1, 1}}).check();
    }
  }
  Case({.x = {2, 7, 5, 8}, .w = {24, 8, 1, 1}, .strides = {2, 3}}).check();
  Case({.x = {3, 1, 1, 40}, .w = {70, 40, 1, 1}, .bias = false}).check();
  // Kernels with padding on any side, strides, dilations.
  Case({.x = {1, 9, 8, 4}, .w = {20, 4, 3, 3}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {2, 8, 9, 3}, .w = {16, 3, 3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {1, 11, 10, 3}, .w = {9, 3, 5, 4}, .strides = {1, 2}, .pads = {2, 0, 1, 3}}).check();
  Case({.x = {1, 12, 12, 5}, .w = {6, 5, 3, 3}, .dilations = {2, 3}, .pads = {2, 3, 2, 3}}).check();
  Case({.x = {1, 4, 4, 2}, .w = {3, 2, 7, 7}, .pads = {3, 3, 3, 3}}).check();
  Case({.x = {1, 28, 28, 3}, .w = {40, 3, 14, 14}, .strides = {14, 14}, .bias = false}).check();
  Case({.x = {1, 6, 6, 4}, .w = {5, 4, 3, 3}, .pads = {-1, 0, 1, -2}}).check();
  Case({.x = {1, 3, 3, 2}, .w = {4, 2, 1, 1}, .pads = {2, 2, 2, 2}}).check();
  for (const char* auto_pad : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
    Case({.x = {1, 7, 8, 3}, .w = {4, 3, 4, 3}, .strides = {2, 3}, .pads = {9, 9, 9, 9}, .auto_pad = auto_pad}).check();
  }
  // One and three dimensions.
  Case({.x = {2, 37, 1}, .w = {13, 1, 16}, .strides = {4}}).check();
  Case({.x = {1, 23, 9}, .w = {18, 9, 3}, .pads = {1, 1}}).check();
  Case({.x = {1, 50, 1}, .w = {1, 1, 17}, .strides = {2}, .pads = {8, 8}}).check();
  Case({.x = {1, 4, 5, 6, 3}, .w = {10, 3, 3, 2, 3}, .strides = {1, 2, 1}, .pads = {1, 0, 1, 1, 1, 1}}).check();
  // An axis of one behind the one that is long.
  Case({.x = {1, 40, 1, 12}, .w = {20, 12, 5, 1}}).check();
  // Groups: depthwise, with a multiplier, narrow, wide.
  Case({.x = {1, 6, 7, 19}, .w = {19, 1, 3, 3}, .pads = {1, 1, 1, 1}, .group = 19}).check();
  Case({.x = {2, 6, 7, 5}, .w = {15, 1, 3, 2}, .strides = {2, 1}, .group = 5}).check();
  Case({.x = {1, 5, 6, 8}, .w = {8, 2, 3, 3}, .pads = {1, 1, 1, 1}, .group = 4}).check();
  Case({.x = {2, 6, 4}, .w = {6, 2, 3}, .group = 2}).check();
  Case({.x = {1, 5, 6, 9}, .w = {12, 3, 3, 3}, .strides = {2, 1}, .group = 3}).check();
  Case({.x = {2, 5, 4, 6}, .w = {40, 3, 1, 1}, .group = 2}).check();
  Case({.x = {1, 30, 10}, .w = {35, 2, 3}, .dilations = {2}, .group = 5}).check();
}

// More rows than a block, more filters than threads can share evenly.
void blocks() {
  Case({.x = {1, 20, 21, 6}, .w = {40, 6, 3, 3}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {1, 3, 3, 70}, .w = {100, 70, 3, 3}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {1, 1, 1, 300}, .w = {75, 300, 1, 1}}).check();
}

void epilogues() {
  const Conv conv = {.x = {2, 6, 5, 7}, .w = {19, 7, 3, 3}, .pads = {1, 1, 1, 1}};
  const Dims per_image = {2, 1, 1, 6}, single = {1};
  Case(conv, {.program = {k_relu, kFloat, 1, 0, -1, -1}, .result = 1}, [](double x, const std::vector<double>&) {
    return x > 0 ? x : 0.0;
  }).check();
  Case(conv,
       {.program = {k_add, kFloat, 2, 0, 1, -1, k_relu, kFloat, 3, 2, -1, -1}, .result = 3, .dims = {{2, 6, 5, 19}}},
       [](double x, const std::vector<double>& operands) { return std::fmax(x + operands[0], 0.0); })
      .check();
  // One number per channel; per image and channel; per pixel; per line: each is its own way through the epilogue.
  for (const std::vector<int64_t>& dims :
       std::vector<std::vector<int64_t>>{{19}, {2, 1, 1, 19}, {2, 6, 5, 1}, {1, 6, 1, 1}, {1}}) {
    Case(conv, {.program = {k_mul, kFloat, 2, 0, 1, -1}, .result = 2, .dims = {dims}},
         [](double x, const std::vector<double>& operands) { return x * operands[0]; })
        .check();
    Case({.x = {2, 4, 5, 6}, .w = {6, 1, 3, 3}, .group = 6},
         {.program = {k_mul, kFloat, 2, 0, 1, -1}, .result = 2, .dims = {dims.back() == 19 ? per_image : single}},
         [](double x, const std::vector<double>& operands) { return x * operands[0]; })
        .check();
  }
}

// Every algorithm with X and Y as parts of wider tensors.
void gaps() {
  const std::vector<Conv> convs = {
      {.x = {2, 5, 6, 7}, .w = {19, 7, 1, 1}},
      {.x = {1, 7, 8, 10}, .w = {20, 10, 3, 2}, .strides = {2, 1}, .pads = {1, 0, 1, 0}},
      {.x = {1, 7, 8, 6}, .w = {4, 3, 3, 3}, .group = 2},
      {.x = {2, 5, 9, 7}, .w = {7, 1, 3, 3}, .pads = {1, 1, 1, 1}, .group = 7},
      {.x = {2, 9, 12, 17}, .w = {35, 17, 3, 3}, .pads = {1, 1, 1, 1}},
      {.x = {1, 6, 23, 3}, .w = {5, 3, 3, 9}, .pads = {1, 4, 1, 4}},
      {.x = {1, 6, 23, 33}, .w = {1, 33, 3, 3}, .pads = {1, 1, 1, 1}},
  };
  for (const Conv& conv : convs) {
    for (const auto& [x_gap, y_gap] : {std::pair<int64_t, int64_t>{5, 0}, {0, 3}, {16, 9}}) {
      Case plain(conv);
      plain.widen(x_gap, y_gap);
      plain.check();
      Case scaled(conv, {.program = {k_mul, kFloat, 2, 0, 1, -1}, .result = 2, .dims = {{conv.w[0]}}},
                  [](double x, const std::vector<double>& operands) { return x * operands[0]; });
      scaled.widen(x_gap, y_gap);
      scaled.check();
    }
  }
}

// Few channels or few filters: bands of lines, folded pixels, sums along lanes.
void lines() {
  for (const int64_t filters : {1, 2, 3, 5, 8, 12, 16, 20}) {
    Case({.x = {1, 9, 21, 3}, .w = {filters, 3, 3, 5}, .strides = {2, 1}, .pads = {1, 2, 1, 2}}).check();
    Case({.x = {1, 6, 40, 2}, .w = {filters, 2, 2, 19}, .pads = {0, 9, 1, 9}}).check();
  }
  Case({.x = {2, 5, 11, 33}, .w = {1, 33, 3, 3}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {1, 3, 400, 1}, .w = {1, 1, 1, 64}, .strides = {1, 2}}).check();
  Case({.x = {1, 700, 1}, .w = {36, 1, 64}, .strides = {2}, .pads = {3, 40}}).check();
  Case({.x = {1, 3, 7, 9, 2}, .w = {4, 2, 2, 3, 3}, .pads = {1, 1, 1, 0, 1, 1}}).check();
  Case({.x = {1, 2, 3, 1}, .w = {8, 1, 3, 3}, .pads = {1, 1, 1, 1}}).check();
  Case({.x = {1, 9, 9, 2}, .w = {6, 2, 3, 3}, .dilations = {2, 1}, .pads = {-1, 1, 3, 1}}).check();
  for (const int64_t filters : {1, 6, 20}) {
    const Conv conv = {.x = {2, 5, 13, 3}, .w = {filters, 3, 3, 9}, .pads = {1, 4, 1, 4}};
    Case(conv, {.program = {k_relu, kFloat, 1, 0, -1, -1}, .result = 1}, [](double x, const std::vector<double>&) {
      return x > 0 ? x : 0.0;
    }).check();
    Case(conv, {.program = {k_sigmoid, kFloat, 1, 0, -1, -1}, .result = 1}, [](double x, const std::vector<double>&) {
      return 1.0 / (1.0 + std::exp(-x));
    }).check();
    for (const Dims& dims : std::vector<Dims>{{2, 5, 13, filters}, {2, 1, 1, filters}, {13, 1}}) {
      Case(conv, {.program = {k_add, kFloat, 2, 0, 1, -1}, .result = 2, .dims = {dims}},
           [](double x, const std::vector<double>& operands) { return x + operands[0]; })
          .check();
    }
    Case infinite(conv);
    infinite.x()[7] = std::numeric_limits<float>::infinity();
    infinite.x()[200] = std::numeric_limits<float>::quiet_NaN();
    infinite.check();
  }
}

// 3×3 of stride 1 with enough channels and tiles for the Winograd form, odd and even sizes, padding on any side.
void winograd() {
  for (const int64_t channels : {16, 19, 40}) {
    for (const int64_t filters : {16, 35, 70}) {
      Case({.x = {1, 11, 10, channels}, .w = {filters, channels, 3, 3}, .pads = {1, 1, 1, 1}}).check();
    }
  }
  Case({.x = {3, 9, 8, 16}, .w = {33, 16, 3, 3}, .pads = {0, 2, 1, 0}}).check();
  Case({.x = {1, 40, 33, 17}, .w = {18, 17, 3, 3}, .bias = false}).check();
  Case({.x = {1, 8, 8, 48}, .w = {96, 48, 3, 3}, .pads = {1, 1, 1, 1}}).check();  // threads share the filters
  Case({.x = {1, 31, 16}, .w = {18, 16, 3}, .pads = {1, 1}}).check();
  const Conv conv = {.x = {2, 7, 9, 16}, .w = {37, 16, 3, 3}, .pads = {1, 1, 1, 1}};
  Case(conv, {.program = {k_relu, kFloat, 1, 0, -1, -1}, .result = 1}, [](double x, const std::vector<double>&) {
    return x > 0 ? x : 0.0;
  }).check();
  for (const Dims& dims : std::vector<Dims>{{2, 7, 9, 37}, {2, 1, 1, 37}, {7, 9, 1}, {7, 1, 1}}) {
    Case(conv, {.program = {k_add, kFloat, 2, 0, 1, -1, k_relu, kFloat, 3, 2, -1, -1}, .result = 3, .dims = {dims}},
         [](double x, const std::vector<double>& operands) { return std::fmax(x + operands[0], 0.0); })
        .check();
    Case(conv, {.program = {k_mul, kFloat, 2, 0, 1, -1}, .result = 2, .dims = {dims}},
         [](double x, const std::vector<double>& operands) { return x * operands[0]; })
        .check();
  }
  Case infinite({.x = {1, 8, 9, 16}, .w = {16, 16, 3, 3}, .pads = {1, 1, 1, 1}});
  infinite.x()[300] = std::numeric_limits<float>::quiet_NaN();
  infinite.x()[700] = -std::numeric_limits<float>::infinity();
  infinite.check();
}

void special_values() {
  Case infinite({.x = {1, 5, 5, 4}, .w = {17, 4, 3, 3}, .pads = {1, 1, 1, 1}});
  infinite.x()[13] = std::numeric_limits<float>::quiet_NaN();
  infinite.x()[90] = std::numeric_limits<float>::infinity();
  infinite.check();
  // Nothing to do, nothing to read.
  Case({.x = {0, 5, 5, 4}, .w = {3, 4, 3, 3}}).check();
  Case({.x = {1, 5, 5, 4}, .w = {0, 4, 3, 3}}).check();
  Case({.x = {1, 5, 5, 0}, .w = {3, 0, 3, 3}}).check();
}

void refusals() {
  const Conv conv = {.x = {1, 5, 5, 4}, .w = {8, 4, 3, 3}};
  const auto status = [](Conv changed, auto change) {
    Case subject(std::move(changed));
    std::vector<float> y(1000);
    Call call = subject.call(&y);
    std::vector<char> workspace(1 << 20);
    call.raw.workspace = {workspace.data(), workspace.size()};
    change(call);
    return gk_run_kernel("conv", call.get());
  };
  CHECK(status(conv, [](Call&) {}) == GK_OK);
  CHECK(status(conv, [](Call& call) { call.inputs[0].dtype = kF64; }) == GK_UNSUPPORTED);
  CHECK(status(conv, [](Call& call) { call.inputs.resize(1); }) == GK_INVALID_ARGUMENT);
  CHECK(status(conv, [](Call& call) { call.inputs[1].ndim = 3; }) == GK_INVALID_ARGUMENT);
  CHECK(status(conv, [](Call& call) { call.outputs[0].shape[1] = 4; }) == GK_INVALID_ARGUMENT);
  CHECK(status(conv, [](Call& call) { call.inputs[0].shape[3] = 5; }) == GK_INVALID_ARGUMENT);
  CHECK(status(conv, [](Call& call) { call.raw.workspace.size = 8; }) == GK_WORKSPACE_TOO_SMALL);
  CHECK(status(conv, [](Call& call) {
          static const int64_t zero[] = {0, 1};
          gk_attribute strides = {"strides", GK_ATTRIBUTE_INTS, 2, {0}};
          strides.value.ints = zero;
          call.attributes.push_back(strides);
        }) == GK_INVALID_ARGUMENT);
}

}  // namespace

void test_conv() {
  shapes();
  blocks();
  epilogues();
  gaps();
  lines();
  winograd();
  special_values();
  refusals();
}
