// Epilogues against a scalar oracle, behind a matrix product: every form, operands that are tiled and not, and the
// same program alone in `elementwise`.
#include "arrays.h"

namespace {

using namespace oracle;

struct Case {
  const char* name;
  Program program;                          // registers: 0 the product, 1 … operands, constants, temporaries
  std::vector<std::vector<int64_t>> shapes; // of the operands
};

// [batch, m, k] x [k, n] + bias, exactly representable: small integers.
void applies(int32_t isa, int64_t batch, int64_t m, int64_t n, const Case& test) {
  const int64_t k = 3;
  const std::vector<int64_t> shape = {batch, m, n};
  Array a = random_f32({batch, m, k}, -4, 4, 1), b = random_f32({k, n}, -4, 4, 2), bias = random_f32({n}, -4, 4, 3);
  for (Array* array : {&a, &b, &bias}) {
    float* data = reinterpret_cast<float*>(array->bytes.data());
    for (int64_t i = 0; i < count_of(array->shape); ++i) data[i] = std::round(data[i]);
  }
  const auto x = values_of<float>(a), w = values_of<float>(b), c = values_of<float>(bias);
  std::vector<float> product(static_cast<size_t>(count_of(shape)));
  for (int64_t row = 0; row < batch * m; ++row) {
    for (int64_t col = 0; col < n; ++col) {
      float sum = c[static_cast<size_t>(col)];
      for (int64_t i = 0; i < k; ++i) sum += x[static_cast<size_t>(row * k + i)] * w[static_cast<size_t>(i * n + col)];
      product[static_cast<size_t>(row * n + col)] = sum;
    }
  }
  std::vector<Array> operands = {array(kF32, shape, product)};
  uint32_t seed = 10;
  for (const auto& operand : test.shapes) {
    std::vector<int64_t> dims = operand;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (dims[d] < 0) dims[d] = shape[shape.size() - dims.size() + d];
    }
    operands.push_back(random_f32(dims, -2, 2, ++seed));
  }
  // What the program gives of the exact product.
  std::vector<Array> want = {array(kF32, shape, product)};
  CHECK(run_program(isa, test.program, operands, want) == GK_OK);

  Array y = array(kF32, shape, std::vector<float>(product.size()));
  std::vector<unsigned char> first;
  ReversedPool pool;
  for (const bool pooled : {false, true}) {
    Call call;
    call.inputs = {a.tensor(), b.tensor(), bias.tensor()};
    for (size_t i = 1; i < operands.size(); ++i) call.inputs.push_back(operands[i].tensor());
    call.outputs = {y.tensor()};
    call.attributes = {ints("epilogue", test.program.code), floats("epilogue_constants", test.program.constants),
                       integer("epilogue_result", test.program.results[0]), integer("epilogue_first", 3)};
    call.raw.isa = isa;
    call.raw.parallel = pooled ? &pool.raw : nullptr;
    gk_prepared prepared = {};
    call.raw.prepared = &prepared;
    call.raw.phase = GK_PREPARE;
    const std::string what = label(isa, test.name) + " " + std::to_string(m) + " x " + std::to_string(n);
    CHECK_WITH(gk_run_kernel("matmul", call.get()) == GK_OK, what);
    std::vector<double> workspace(prepared.workspace_bytes / sizeof(double) + 1);
    call.raw.workspace = {workspace.data(), workspace.size() * sizeof(double)};
    call.raw.phase = GK_RUN;
    CHECK_WITH(gk_run_kernel("matmul", call.get()) == GK_OK, what);
    if (!pooled) first = y.bytes;
    CHECK_WITH(y.bytes == first, what + " pool");
    const auto got = values_of<float>(y), exact = values_of<float>(want[0]);
    bool same = true;
    for (size_t i = 0; i < got.size(); ++i) {
      // The same instructions; only whether a clamp or an addition happened in registers differs, and that is exact.
      same = same && (got[i] == exact[i] || (got[i] != got[i] && exact[i] != exact[i]));
    }
    CHECK_WITH(same, what);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const char* name, std::vector<double> constants, std::vector<std::vector<int64_t>> shapes, Program program) {
    program.constants = std::move(constants);
    all.push_back({name, std::move(program), std::move(shapes)});
  };
  add("relu", {}, {}, Program().op("relu", 1, 1, 0));
  add("clip", {0, 6}, {}, Program().op("clip", 1, 3, 0, 1, 2));
  add("max, then min", {-3, 5}, {}, Program().op("max", 1, 3, 1, 0).op("min", 1, 4, 3, 2));
  add("bounds that cross", {3, -5}, {}, Program().op("max", 1, 3, 0, 1).op("min", 1, 4, 3, 2));
  add("residual", {}, {{-1, -1, -1}}, Program().op("add", 1, 2, 0, 1));
  add("residual and relu", {}, {{-1, -1, -1}}, Program().op("add", 1, 2, 1, 0).op("relu", 1, 3, 2));
  add("a row for all, clipped", {-1, 1}, {{-1}}, Program().op("add", 1, 4, 0, 1).op("clip", 1, 5, 4, 2, 3));
  add("a column for all", {}, {{-1, 1}}, Program().op("add", 1, 2, 0, 1));
  add("one number", {}, {{1}}, Program().op("add", 1, 2, 0, 1));
  add("silu", {}, {}, Program().op("silu", 1, 1, 0));
  add("residual, then gelu", {}, {{-1, -1, -1}}, Program().op("add", 1, 2, 0, 1).op("gelu", 1, 3, 2));
  add("silu, then residual", {}, {{-1, -1, -1}}, Program().op("silu", 1, 2, 0).op("add", 1, 3, 2, 1));
  add("per channel and batch", {}, {{-1}, {-1, 1, -1}}, Program().op("mul", 1, 3, 0, 1).op("add", 1, 4, 3, 2).op("hard_swish", 1, 5, 4));
  add("a gate of both", {}, {{-1, -1, 1}, {-1, -1, -1}}, Program().op("sigmoid", 1, 3, 1).op("mul", 1, 4, 3, 0).op("mul", 1, 5, 4, 2).op("tanh", 1, 6, 5));
  add("the product twice", {}, {}, Program().op("sigmoid", 1, 1, 0).op("mul", 1, 2, 1, 0));
  add("an operand leaves", {}, {{-1, -1, -1}}, Program().op("identity", 1, 2, 1));
  add("a comparison: not tiled", {0.5}, {{-1}}, Program().op("greater", 1, 3, 0, 2).op("where", 1, 4, 3, 0, 1));
  return all;
}

int status_of(int32_t isa, const Program& program, const std::vector<int64_t>& operand, int64_t first = 3) {
  Array a = random_f32({4, 3}, 0, 1, 1), b = random_f32({3, 5}, 0, 1, 2), extra = random_f32(operand, 0, 1, 3), y = random_f32({4, 5}, 0, 1, 4);
  Call call;
  call.inputs = {a.tensor(), b.tensor(), {nullptr, {GK_CPU, 0}, -1, {}, nullptr, nullptr, 0}, extra.tensor()};
  call.outputs = {y.tensor()};
  call.attributes = {ints("epilogue", program.code), floats("epilogue_constants", program.constants),
                     integer("epilogue_result", program.results[0]), integer("epilogue_first", first)};
  call.raw.isa = isa;
  gk_prepared prepared = {};
  call.raw.prepared = &prepared;
  call.raw.phase = GK_PREPARE;
  return gk_run_kernel("matmul", call.get());
}

}  // namespace

void test_epilogue() {
  const auto all = cases();
  for (const int32_t isa : supported_levels()) {
    for (const Case& test : all) {
      applies(isa, 1, 1, 1, test);
      applies(isa, 2, 7, 37, test);
      applies(isa, 1, 40, 130, test);
      applies(isa, 3, 1, 65, test);
    }
    CHECK(status_of(isa, Program().op("add", 1, 2, 0, 1), {4, 5}) == GK_OK);
    CHECK(status_of(isa, Program().op("add", 1, 2, 0, 1), {3, 5}) == GK_INVALID_ARGUMENT);
    CHECK(status_of(isa, Program().op("add", 1, 2, 0, 1), {2, 4, 5}) == GK_INVALID_ARGUMENT);
    CHECK(status_of(isa, Program().op("add", 1, 2, 0, 7), {4, 5}) == GK_INVALID_ARGUMENT);
    CHECK(status_of(isa, Program().op("add", 1, 2, 0, 1), {4, 5}, 9) == GK_INVALID_ARGUMENT);
    CHECK(status_of(isa, Program().op("add", 7, 2, 0, 1), {4, 5}) == GK_INVALID_ARGUMENT);
    Program longest;
    for (int i = 0; i < 17; ++i) longest.op("add", 1, i + 2, 0, i == 0 ? 1 : i + 1);
    CHECK(status_of(isa, longest, {4, 5}) == GK_UNSUPPORTED);
  }
}
