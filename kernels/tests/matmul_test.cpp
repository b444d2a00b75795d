// matmul against plain loops in double: shapes past every tile edge, vectors, batches that broadcast, transposed and
// strided factors, alpha and beta, every form of bias and epilogue, NaN and infinity, empty tensors, bad calls.
#include <array>
#include <limits>

#include "cpu/lib/elementwise/opcodes.h"
#include "float_call.h"

namespace {

using floats::Case;
using floats::Expected;
using floats::Tensor;
using graphopt::opcode_number;

// Where element `index` of the output's axes lies in a tensor that broadcasts to it.
int64_t offset_in(const Tensor& tensor, const std::vector<int64_t>& index) {
  int64_t offset = tensor.offset, stride = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const size_t axis = tensor.shape.size() - 1 - i;
    const int64_t at = tensor.shape[axis] == 1 ? 0 : index[index.size() - 1 - i];
    offset += at * (tensor.strides.empty() ? stride : tensor.strides[axis]);
    stride *= tensor.shape[axis];
  }
  return offset;
}

struct Options {
  bool trans_a = false, trans_b = false;
  double alpha = 1.0, beta = 1.0;
};

// The oracle: y and how far a sum of k rounded products may be from it.
Expected multiply(const Tensor& a, const Tensor& b, const Tensor& bias, const Options& options) {
  Tensor left = a, right = b;  // as matrices with the batch in front
  const auto row_major = [](Tensor& tensor) {
    if (!tensor.strides.empty()) return;
    tensor.strides.resize(tensor.shape.size());
    int64_t stride = 1;
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      tensor.strides[i] = stride;
      stride *= tensor.shape[i];
    }
  };
  row_major(left);
  row_major(right);
  const bool rows = a.shape.size() > 1, cols = b.shape.size() > 1;
  const auto swap_last = [](std::vector<int64_t>& dims) { std::swap(dims[dims.size() - 1], dims[dims.size() - 2]); };
  if (rows && options.trans_a) swap_last(left.shape), swap_last(left.strides);
  if (cols && options.trans_b) swap_last(right.shape), swap_last(right.strides);
  if (!rows) left.shape.insert(left.shape.begin(), 1), left.strides.insert(left.strides.begin(), 0);
  if (!cols) right.shape.push_back(1), right.strides.push_back(0);
  const size_t rank = std::max(left.shape.size(), right.shape.size());
  std::vector<int64_t> full(rank, 1);
  const int64_t m = left.shape[left.shape.size() - 2], k = left.shape.back(), n = right.shape.back();
  for (const Tensor* factor : {&left, &right}) {
    for (size_t i = 0; i + 2 < factor->shape.size(); ++i) {
      int64_t& dim = full[i + rank - factor->shape.size()];
      if (factor->shape[i] != 1) dim = factor->shape[i];
    }
  }
  full[rank - 2] = m;
  full[rank - 1] = n;
  std::vector<int64_t> shape(full.begin(), full.end() - 2);
  if (rows) shape.push_back(m);
  if (cols) shape.push_back(n);
  Expected y = floats::zeros(shape);
  std::vector<int64_t> index(rank, 0);
  for (size_t i = 0; i < y.values.size(); ++i) {
    double sum = 0, size = 0;
    std::vector<int64_t> at_a = index, at_b = index;
    for (int64_t step = 0; step < k; ++step) {
      at_a[rank - 1] = at_b[rank - 2] = step;
      const double product = static_cast<double>(left.values[static_cast<size_t>(offset_in(left, at_a))]) *
                             static_cast<double>(right.values[static_cast<size_t>(offset_in(right, at_b))]);
      sum += product;
      size += std::fabs(product);
    }
    sum *= options.alpha;
    size *= std::fabs(options.alpha);
    if (!bias.absent && options.beta != 0.0) {
      std::vector<int64_t> at(index.begin(), index.end() - 2);
      if (rows) at.push_back(index[rank - 2]);
      if (cols) at.push_back(index[rank - 1]);
      const double x = options.beta * static_cast<double>(bias.values[static_cast<size_t>(offset_in(bias, at))]);
      sum += x;
      size += std::fabs(x);
    }
    y.values[i] = sum;
    y.tolerance[i] = 2 * static_cast<double>(k + 4) * floats::kEpsilon * size;
    for (size_t axis = rank; axis-- > 0;) {
      if (++index[axis] < full[axis]) break;
      index[axis] = 0;
    }
  }
  return y;
}

void check_product(const std::string& name, const Tensor& a, const Tensor& b, const Tensor& bias = floats::none(),
                   const Options& options = {}) {
  Case test = {"matmul", {a, b}, {}, 0, name};
  if (!bias.absent) test.inputs.push_back(bias);
  if (options.trans_a) test.attributes.push_back(floats::integer("trans_a", 1));
  if (options.trans_b) test.attributes.push_back(floats::integer("trans_b", 1));
  if (options.alpha != 1.0) test.attributes.push_back(floats::number("alpha", options.alpha));
  if (options.beta != 1.0) test.attributes.push_back(floats::number("beta", options.beta));
  const std::vector<Expected> expected = {multiply(a, b, bias, options)};
  floats::check_shapes(test, expected);
  floats::check(test, expected);
  // With B packed, which may use another order of summing where a vector is multiplied: checked on its own.
  for (const int32_t isa : supported_levels()) {
    const floats::Result packed = floats::run_once(test, expected, isa, {true, true, 2});
    CHECK_WITH(packed.status == GK_OK, name);
    for (size_t i = 0; i < expected[0].values.size() && packed.status == GK_OK; ++i) {
      const bool good = floats::close(packed.outputs[0][16 + i], expected[0].values[i], expected[0].tolerance[i]);
      CHECK_WITH(good, name + " packed " + gk_isa_name(isa));
      if (!good) break;
    }
  }
}

std::string size_text(int64_t m, int64_t k, int64_t n) {
  return std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
}

void test_sizes() {
  for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 11, 13, 14, 15, 29}) {
    for (const int64_t n : {1, 7, 8, 9, 16, 17, 31, 33, 65}) {
      const int64_t k = (m * 7 + n) % 23 + 1;
      check_product(size_text(m, k, n), floats::random({m, k}, 1), floats::random({k, n}, 2), floats::random({n}, 3));
    }
  }
  // Several ranges of k, of panels, and of rows; rows that meet in the cache.
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{17, 1601, 40}, {2, 1100, 150}, {300, 20, 9}, {9, 1024, 130}}) {
    check_product(size_text(m, k, n), floats::random({m, k}, 1), floats::random({k, n}, 2), floats::random({n}, 3));
  }
}

void test_shapes() {
  using floats::random;
  check_product("vectors", random({37}, 1), random({37}, 2));
  check_product("vector and matrix", random({37}, 1), random({37, 35}, 2));
  check_product("matrix and vector", random({19, 37}, 1), random({37}, 2));
  check_product("batch and vector", random({3, 5, 37}, 1), random({37}, 2));
  check_product("vector and batch", random({7}, 1), random({2, 3, 7, 5}, 2));
  check_product("batches", random({2, 3, 5, 7}, 1), random({2, 3, 7, 9}, 2));
  check_product("batches share B", random({2, 3, 5, 7}, 1), random({7, 9}, 2));
  check_product("rows from batches of one", random({6, 1, 7}, 1), random({7, 9}, 2));
  check_product("batches share A", random({5, 7}, 1), random({4, 7, 9}, 2));
  check_product("crosswise", random({2, 1, 5, 7}, 1), random({1, 3, 7, 9}, 2));
  check_product("crosswise, B in the middle", random({2, 3, 2, 5, 7}, 1), random({3, 1, 7, 9}, 2), random({9}, 3));
  check_product("no k", random({3, 0}, 1), random({0, 4}, 2), random({4}, 3));
  check_product("no rows", random({0, 3}, 1), random({3, 4}, 2), random({4}, 3));
  check_product("no columns", random({3, 3}, 1), random({3, 0}, 2));
  check_product("no batches", random({0, 3, 3}, 1), random({3, 5}, 2));
}

void test_gemm() {
  using floats::random;
  for (const bool trans_a : {false, true}) {
    for (const bool trans_b : {false, true}) {
      for (const auto& [m, k, n] : {std::array<int64_t, 3>{18, 37, 35}, {1, 70, 45}, {43, 66, 1}, {5, 5, 5}}) {
        const Tensor a = random(trans_a ? std::vector<int64_t>{k, m} : std::vector<int64_t>{m, k}, 1);
        const Tensor b = random(trans_b ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n}, 2);
        const std::string name = size_text(m, k, n) + (trans_a ? " At" : "") + (trans_b ? " Bt" : "");
        check_product(name, a, b, random({n}, 3), {trans_a, trans_b});
        check_product(name + " scaled", a, b, random({m, n}, 3), {trans_a, trans_b, 0.5, -0.25});
      }
    }
  }
  const Tensor a = random({2, 7, 18}, 1), b = random({18, 35}, 2);
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {}, {1}, {1, 1}, {7, 1}, {1, 35}, {7, 35}, {2, 1, 1}, {2, 7, 35}, {1, 7, 1}, {2, 1, 35}}) {
    check_product("bias " + std::to_string(shape.size()), a, b, random(shape, 3));
    check_product("scaled bias " + std::to_string(shape.size()), a, b, random(shape, 3), {false, false, 2.0, 3.0});
  }
  Tensor nan = random({7, 1}, 3);
  nan.values.assign(nan.values.size(), std::numeric_limits<float>::quiet_NaN());
  check_product("a bias of weight 0 is not read", random({7, 5}, 1), random({5, 9}, 2), nan, {false, false, 1.0, 0.0});
}

// Heads of attention: [batch, sequence, heads, size] seen as [batch, heads, sequence, size], and transposed.
void test_strided() {
  const int64_t batch = 2, sequence = 17, heads = 3, size = 20;
  Tensor q = floats::random({batch, sequence, heads, size}, 1), k = floats::random({batch, sequence, heads, size}, 2);
  for (Tensor* tensor : {&q, &k}) {
    tensor->shape = {batch, heads, sequence, size};
    tensor->strides = {sequence * heads * size, size, heads * size, 1};
  }
  check_product("heads, B by attribute", q, k, floats::none(), {false, true});
  Tensor transposed = k;
  transposed.shape = {batch, heads, size, sequence};
  transposed.strides = {sequence * heads * size, size, 1, heads * size};
  check_product("heads, B by strides", q, transposed);
  check_product("both by strides", k, transposed);
  Tensor reversed = floats::random({9, 30}, 4);
  reversed.strides = {-30, 1};
  reversed.offset = 8 * 30;
  check_product("rows from last to first", reversed, floats::random({30, 40}, 5));
  Tensor everywhere = floats::random({9, 30}, 4);
  everywhere.strides = {0, 1};
  check_product("one row for all", everywhere, floats::random({30, 40}, 5));
  Tensor spread = floats::random({9, 60}, 4);
  spread.shape = {9, 20};
  spread.strides = {60, 3};
  check_product("every third", spread, floats::random({20, 40}, 5));
  check_product("every third, transposed", floats::random({9, 7}, 5), spread, floats::none(), {true, false});
  Tensor one = spread;
  one.shape = {1, 20};
  check_product("every third of a vector", one, floats::random({20, 40}, 5));
}

void test_special() {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t n : {int64_t{1}, int64_t{40}}) {
    for (const int64_t m : {int64_t{1}, int64_t{20}}) {
      Tensor a = floats::random({m, 50}, 1), b = floats::random({50, n}, 2);
      a.values[7] = infinity;
      check_product("an infinity", a, b);
      a.values[13] = nan;
      check_product("a NaN", a, b);
      a.values[13] = 0.0f;
      b.values[static_cast<size_t>(13 * n)] = infinity;
      check_product("zero times infinity", a, b);
    }
  }
}

struct EpilogueCase {
  const char* name;
  std::vector<int64_t> program;
  std::vector<double> constants;
  int64_t result;
  std::vector<Tensor> extra;
  double (*apply)(double x, double r);
};

void test_epilogues() {
  constexpr int64_t kFloat = 1;
  const int64_t relu = opcode_number("relu"), add = opcode_number("add"), mul = opcode_number("mul"),
                sigmoid = opcode_number("sigmoid");
  for (const auto& [m, n, batch] : {std::array<int64_t, 3>{15, 45, 2}, {1, 45, 1}, {23, 1, 1}, {7, 300, 1}}) {
    const std::vector<int64_t> shape = {batch, m, n};
    const Tensor whole = floats::random(shape, 9), column = floats::random({m, 1}, 9);
    const std::vector<EpilogueCase> cases = {
        {"relu", {relu, kFloat, 1, 0, -1, -1}, {}, 1, {}, [](double x, double) { return x < 0 ? 0 : x; }},
        {"add", {add, kFloat, 2, 0, 1, -1}, {}, 2, {whole}, [](double x, double r) { return x + r; }},
        {"add, relu", {add, kFloat, 2, 0, 1, -1, relu, kFloat, 3, 2, -1, -1}, {}, 3, {whole},
         [](double x, double r) { return x + r < 0 ? 0 : x + r; }},
        {"add by row, relu", {add, kFloat, 2, 0, 1, -1, relu, kFloat, 3, 2, -1, -1}, {}, 3, {column},
         [](double x, double r) { return x + r < 0 ? 0 : x + r; }},
        {"times", {mul, kFloat, 2, 0, 1, -1}, {}, 2, {whole}, [](double x, double r) { return x * r; }},
        {"sigmoid", {sigmoid, kFloat, 1, 0, -1, -1}, {}, 1, {},
         [](double x, double) { return 1 / (1 + std::exp(-x)); }},
    };
    for (const EpilogueCase& each : cases) {
      for (const bool full_bias : {false, true}) {
        const int64_t k = 21;
        const Tensor a = floats::random({batch, m, k}, 1), b = floats::random({k, n}, 2);
        const Tensor bias = floats::random(full_bias ? std::vector<int64_t>{m, n} : std::vector<int64_t>{n}, 3);
        Expected y = multiply(a, b, bias, {});
        for (size_t i = 0; i < y.values.size(); ++i) {
          double r = 0;
          if (!each.extra.empty()) {
            const auto at = static_cast<int64_t>(i);
            const size_t index = each.extra[0].shape.size() == 3 ? i : static_cast<size_t>(at / n % m);
            r = static_cast<double>(each.extra[0].values[index]);
          }
          y.values[i] = each.apply(y.values[i], r);
          // No function here is steeper than 1; its own rounding is a few units in the last place.
          y.tolerance[i] += 8 * floats::kEpsilon * (std::fabs(y.values[i]) + std::fabs(r));
        }
        Case test = {"matmul", {a, b, bias}, {}, 2, std::string(each.name) + " " + size_text(m, k, n)};
        for (const Tensor& extra : each.extra) test.inputs.push_back(extra);
        test.attributes = {floats::integers("epilogue", each.program), floats::integer("epilogue_result", each.result),
                           floats::numbers("epilogue_constants", each.constants)};
        if (!each.extra.empty()) test.attributes.push_back(floats::integer("epilogue_first", 3));
        if (m == 1 || n == 1) test.constants = 0;
        floats::check(test, {y});
      }
    }
  }
}

// Outputs that are views: rows of a wider matrix, heads put back in place, columns apart.
void test_strided_output() {
  const int64_t batch = 2, m = 9, k = 20, n = 37;
  Tensor a = floats::random({batch, m, k}, 1), b = floats::random({k, n}, 2), bias = floats::random({n}, 3);
  const Expected y = multiply(a, b, bias, {});
  const std::vector<std::vector<int64_t>> layouts = {{m * 50, 50, 1}, {40, 40 * batch, 1}, {m * 80, 80, 2}, {1, 2, 20}};
  for (const std::vector<int64_t>& strides : layouts) {
    for (const int32_t isa : supported_levels()) {
      for (const uint32_t constants : {0u, 2u}) {
        std::vector<float> out(4000, floats::kGuard);
        std::vector<int64_t> shape = {batch, m, n}, steps = strides;
        Call call;
        call.inputs = {a.raw(), b.raw(), bias.raw()};
        call.outputs = {{out.data(), {GK_CPU, 0}, 3, kF32, shape.data(), steps.data(), 0}};
        call.raw.isa = isa;
        call.raw.constant_inputs = constants;
        gk_prepared prepared = {};
        call.raw.prepared = &prepared;
        call.raw.phase = GK_PREPARE;
        CHECK(gk_run_kernel("matmul", call.get()) == GK_OK);
        std::vector<char> workspace(prepared.workspace_bytes + 1), packed(prepared.packed_bytes + 64);
        call.raw.workspace = {workspace.data(), prepared.workspace_bytes};
        call.raw.packed = packed.data() + (64 - reinterpret_cast<uintptr_t>(packed.data()) % 64) % 64;
        call.raw.phase = GK_PACK;
        if (prepared.packed_bytes > 0) CHECK(gk_run_kernel("matmul", call.get()) == GK_OK);
        call.raw.phase = GK_RUN;
        CHECK(gk_run_kernel("matmul", call.get()) == GK_OK);
        size_t written = 0, wrong = 0;
        for (int64_t i = 0; i < batch * m * n; ++i) {
          const int64_t at = i / (m * n) * strides[0] + i / n % m * strides[1] + i % n * strides[2];
          const auto index = static_cast<size_t>(i);
          wrong += floats::close(out[static_cast<size_t>(at)], y.values[index], y.tolerance[index]) ? 0 : 1;
        }
        for (const float value : out) written += value != floats::kGuard ? 1 : 0;
        CHECK_WITH(wrong == 0 && written == y.values.size(), std::to_string(strides[2]) + " " + gk_isa_name(isa));
      }
    }
  }
}

void test_refused() {
  const auto refused = [](const char* name, const Tensor& a, const Tensor& b, const Tensor& bias,
                          std::vector<int64_t> shape, int status) {
    Case test = {"matmul", {a, b, bias}, {}, 0, name};
    floats::check_refused(test, {floats::zeros(std::move(shape))}, status);
  };
  using floats::random;
  refused("depths", random({3, 4}, 1), random({5, 6}, 2), floats::none(), {3, 6}, GK_INVALID_ARGUMENT);
  refused("rows", random({3, 4}, 1), random({4, 6}, 2), floats::none(), {4, 6}, GK_INVALID_ARGUMENT);
  refused("columns", random({3, 4}, 1), random({4, 6}, 2), floats::none(), {3, 5}, GK_INVALID_ARGUMENT);
  refused("batch", random({2, 3, 4}, 1), random({3, 4, 6}, 2), floats::none(), {2, 3, 6}, GK_INVALID_ARGUMENT);
  refused("rank", random({2, 3, 4}, 1), random({4, 6}, 2), floats::none(), {3, 6}, GK_INVALID_ARGUMENT);
  refused("bias", random({3, 4}, 1), random({4, 6}, 2), random({5}, 3), {3, 6}, GK_INVALID_ARGUMENT);
  refused("bias too large", random({3, 4}, 1), random({4, 6}, 2), random({2, 3, 6}, 3), {3, 6}, GK_INVALID_ARGUMENT);
  refused("scalar", random({}, 1), random({4, 6}, 2), floats::none(), {6}, GK_INVALID_ARGUMENT);
  Tensor integers = random({3, 4}, 1);
  integers.dtype = floats::kI32;
  integers.bytes.resize(64);
  refused("dtype", integers, random({4, 6}, 2), floats::none(), {3, 6}, GK_UNSUPPORTED);
}

}  // namespace

void test_matmul() {
  test_sizes();
  test_shapes();
  test_gemm();
  test_strided();
  test_special();
  test_epilogues();
  test_strided_output();
  test_refused();
}
