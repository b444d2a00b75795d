// Layers of known models and the shapes between which their speed usually falls.
#include "roofline_cases.h"

#include "cpu/lib/opcodes.h"

namespace roofline {
namespace {

constexpr gk_dtype kF32 = {GK_FLOAT, 32, 1}, kU8 = {GK_UINT, 8, 1}, kI8 = {GK_INT, 8, 1}, kI32 = {GK_INT, 32, 1};

double count(const Tensor& tensor) {
  double elements = 1;
  for (const int64_t dim : tensor.shape) elements *= static_cast<double>(dim);
  return elements;
}

double bytes_of(const Case& test) {
  double bytes = 0;
  for (const Tensor& tensor : test.inputs) bytes += count(tensor) * tensor.dtype.bits / 8;
  for (const Tensor& tensor : test.outputs) bytes += count(tensor) * tensor.dtype.bits / 8;
  return bytes;
}

std::string by(std::initializer_list<int64_t> dims) {
  std::string text;
  for (const int64_t dim : dims) text += (text.empty() ? "" : "×") + std::to_string(dim);
  return text;
}

Case finished(Case test, double operations) {
  test.operations = operations;
  test.bytes = bytes_of(test);
  return test;
}

Case matmul(int64_t m, int64_t k, int64_t n, bool constant = true) {
  Case test = {"matmul", "GEMM ", {{kF32, {m, k}, {}}, {kF32, {k, n}, {}, constant}},
               {{kF32, {m, n}, {}}}, {}, {}, 0, 0};
  if (m == 1 || n == 1) test.name = "GEMV ";
  test.name += by({m, k, n}) + (constant ? "" : ", B not packed");
  return finished(std::move(test), 2.0 * static_cast<double>(m * k * n));
}

Case matmul_integer(int64_t m, int64_t k, int64_t n) {
  Case test = {"matmul_integer", "int8 GEMM " + by({m, k, n}), {{kU8, {m, k}, {}}, {kI8, {k, n}, {}, true}},
               {{kI32, {m, n}, {}}}, {}, {}, 0, 0, true};
  return finished(std::move(test), 2.0 * static_cast<double>(m * k * n));
}

struct ConvShape {
  int64_t side, channels, filters, kernel, stride, group;
};

Case conv(const ConvShape& s) {
  const int64_t pad = s.kernel / 2, out = (s.side + 2 * pad - s.kernel) / s.stride + 1, depth = s.channels / s.group;
  Case test = {"conv", s.group > 1 && s.group == s.channels ? "depthwise " : "conv ",
               {{kF32, {1, s.side, s.side, s.channels}, {}}, {kF32, {s.filters, depth, s.kernel, s.kernel}, {}, true},
                {kF32, {s.filters}, {}, true}},
               {{kF32, {1, out, out, s.filters}, {}}},
               {{"strides", {s.stride, s.stride}}, {"dilations", {1, 1}}, {"pads", {pad, pad, pad, pad}},
                {"group", {s.group}}},
               {"strides", "dilations", "pads"}, 0, 0};
  test.name += by({s.kernel, s.kernel}) + " " + by({s.channels, s.filters}) + " at " + by({s.side, s.side}) +
               (s.stride > 1 ? " stride " + std::to_string(s.stride) : "");
  return finished(std::move(test), 2.0 * static_cast<double>(out * out * s.filters * depth * s.kernel * s.kernel));
}

Case attention(int64_t heads, int64_t length, int64_t size) {
  Case test = {"attention", "attention " + by({heads, length, size}), {},
               {{kF32, {1, heads, length, size}, {}}}, {}, {}, 0, 0};
  for (int i = 0; i < 3; ++i) test.inputs.push_back({kF32, {1, heads, length, size}, {}});
  return finished(std::move(test), 4.0 * static_cast<double>(heads * length * length * size));
}

Case over_rows(const char* op, int64_t rows, int64_t cols) {
  Case test = {op, std::string(op) + " " + by({rows, cols}), {{kF32, {rows, cols}, {}}},
               {{kF32, {rows, cols}, {}}}, {}, {}, 0, 0};
  if (test.op == "layer_norm") {
    // The left-out skip and bias before it have no shape: see prepare_call().
    test.inputs.push_back({{}, {}, {}});
    test.inputs.push_back({{}, {}, {}});
    test.inputs.push_back({kF32, {cols}, {}, true});
    test.inputs.push_back({kF32, {cols}, {}, true});
  }
  return finished(std::move(test), 0);
}

Case elementwise(const char* name, int inputs, int64_t elements) {
  Case test = {"elementwise", std::string(name) + " " + by({elements}), {}, {{kF32, {elements}, {}}}, {}, {}, 0, 0};
  for (int i = 0; i < inputs; ++i) test.inputs.push_back({kF32, {elements}, {}});
  const int64_t second = inputs > 1 ? 1 : -1;
  test.ints = {{"program", {graphopt::opcode_number(name), 1, inputs, 0, second, -1}}, {"results", {inputs}}};
  test.lists = {"program", "results"};
  return finished(std::move(test), 0);
}

Case transpose(int64_t rows, int64_t cols) {
  Case test = {"copy", "transpose " + by({rows, cols}), {{kF32, {cols, rows}, {1, cols}}},
               {{kF32, {cols, rows}, {}}}, {}, {}, 0, 0};
  return finished(std::move(test), 0);
}

Case copy(int64_t elements) {
  Case test = {"copy", "copy " + by({elements}), {{kF32, {elements}, {}}}, {{kF32, {elements}, {}}}, {}, {}, 0, 0};
  return finished(std::move(test), 0);
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t size : {512, 768, 1024}) all.push_back(matmul(size, size, size));
  for (const int64_t m : {16, 32, 64, 128}) {
    for (const int64_t k : {384, 1536}) {
      for (const int64_t n : {384, 1536}) all.push_back(matmul(m, k, n));
    }
  }
  all.push_back(matmul(197, 384, 1152));
  all.push_back(matmul(128, 384, 1536, false));
  for (const int64_t m : {2, 4, 8}) all.push_back(matmul(m, 384, 1536));
  for (const int64_t size : {1024, 2048, 4096}) all.push_back(matmul(1, size, size));
  all.push_back(matmul(1, 4096, 4096, false));
  all.push_back(matmul(4096, 4096, 1, false));
  all.push_back(matmul_integer(512, 512, 512));
  all.push_back(matmul_integer(128, 384, 1536));
  for (const ConvShape& shape : {ConvShape{56, 64, 64, 3, 1, 1}, {28, 128, 128, 3, 1, 1}, {14, 256, 256, 3, 1, 1},
                                 {7, 512, 512, 3, 1, 1}, {56, 64, 256, 1, 1, 1}, {14, 1024, 256, 1, 1, 1},
                                 {56, 128, 128, 3, 2, 1}, {224, 3, 64, 7, 2, 1}, {80, 24, 72, 1, 1, 1},
                                 {40, 120, 40, 1, 1, 1},
                                 {112, 32, 32, 3, 1, 32}, {56, 96, 96, 3, 2, 96}, {14, 480, 480, 5, 1, 480}}) {
    all.push_back(conv(shape));
  }
  all.push_back(attention(12, 128, 32));
  all.push_back(attention(6, 197, 64));
  for (const char* op : {"layer_norm", "softmax"}) {
    all.push_back(over_rows(op, 128, 384));
    all.push_back(over_rows(op, 4096, 768));
  }
  for (const int64_t elements : {1 << 16, 1 << 22}) {
    all.push_back(elementwise("add", 2, elements));
    all.push_back(elementwise("gelu", 1, elements));
    all.push_back(copy(elements));
  }
  all.push_back(transpose(384, 1536));
  all.push_back(transpose(2048, 2048));
  return all;
}

}  // namespace roofline
