// Layers of known models and the shapes between which their speed usually falls.
#include "roofline_cases.h"

#include "cpu/lib/elementwise/opcodes.h"

namespace roofline {

std::string by(std::initializer_list<int64_t> dims) {
  std::string text;
  for (const int64_t dim : dims) text += (text.empty() ? "" : "×") + std::to_string(dim);
  return text;
}

Case finished(Case test, double operations) {
  test.operations = operations;
  test.bytes = 0;
  for (const auto* tensors : {&test.inputs, &test.outputs}) {
    for (const Tensor& tensor : *tensors) {
      double bytes = tensor.dtype.bits / 8;
      for (const int64_t dim : tensor.shape) bytes *= static_cast<double>(dim);
      test.bytes += bytes;
    }
  }
  return test;
}

namespace {

constexpr gk_dtype kU8 = {GK_UINT, 8, 1}, kI8 = {GK_INT, 8, 1}, kI32 = {GK_INT, 32, 1};

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
  for (Case& test : convolutions()) all.push_back(std::move(test));
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
