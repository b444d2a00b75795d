// matmul_integer against plain loops in int64 (exact): signed and unsigned factors, zero points of every kind, sizes
// past every tile edge, batches, strides, constant and other B, extremes, bad calls.
#include <cstring>

#include "executor/op.h"
#include "movement.h"

namespace {

using movement::Array;
using movement::kI32;

struct Product {
  Array a, b, a_zero, b_zero;  // a zero point without shape and bytes is absent
  std::vector<int64_t> a_strides;
  std::string name;
};

int64_t value_of(const Array& array, int64_t index) {
  const unsigned char byte = array.data()[index];
  return array.dtype.code == GK_INT ? static_cast<int64_t>(static_cast<signed char>(byte)) : byte;
}

int64_t zero_of(const Array& zero, int64_t index) {
  return zero.bytes.empty() ? 0 : value_of(zero, zero.count() == 1 ? 0 : index);
}

Array absent() { return Array(); }

// [batch…, m, k] · [batch…, k, n] where B has no batch or A's.
std::vector<int32_t> oracle(const Product& p, int64_t batches, int64_t m, int64_t k, int64_t n) {
  const bool shared = p.b.count() == k * n;
  std::vector<int32_t> y;
  for (int64_t batch = 0; batch < batches; ++batch) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (int64_t step = 0; step < k; ++step) {
          const int64_t at =
              p.a_strides.empty() ? (batch * m + i) * k + step : i * p.a_strides[0] + step * p.a_strides[1];
          sum += (value_of(p.a, at) - zero_of(p.a_zero, i)) *
                 (value_of(p.b, ((shared ? 0 : batch) * k + step) * n + j) - zero_of(p.b_zero, j));
        }
        y.push_back(static_cast<int32_t>(static_cast<uint32_t>(sum)));
      }
    }
  }
  return y;
}

void check_product(Product p, const std::vector<int64_t>& a_shape, std::vector<int64_t> y_shape, int64_t batches,
                   int64_t m, int64_t k, int64_t n) {
  const std::vector<int32_t> expected = oracle(p, batches, m, k, n);
  std::vector<int64_t> shape = a_shape;
  for (const int32_t isa : supported_levels()) {
    for (const bool constant : {false, true}) {
      for (const bool parallel : {false, true}) {
        const std::string where = p.name + " " + gk_isa_name(isa) + (constant ? " constant" : "");
        Array y(kI32, y_shape);
        Call call;
        gk_tensor a = p.a.tensor();
        a.shape = shape.data();
        a.ndim = static_cast<int32_t>(shape.size());
        if (!p.a_strides.empty()) a.strides = p.a_strides.data();
        call.inputs = {a, p.b.tensor()};
        for (Array* zero : {&p.a_zero, &p.b_zero}) {
          call.inputs.push_back(zero->bytes.empty() ? gk_tensor{nullptr, {GK_CPU, 0}, -1, kU8, nullptr, nullptr, 0}
                                                    : zero->tensor());
        }
        call.outputs = {y.tensor()};
        call.raw.isa = isa;
        ReversedPool pool;
        if (parallel) call.raw.parallel = &pool.raw;
        call.raw.constant_inputs = constant ? 2 : 0;
        gk_prepared prepared = {};
        call.raw.prepared = &prepared;
        call.raw.phase = GK_PREPARE;
        CHECK_WITH(gk_run_kernel("matmul_integer", call.get()) == GK_OK, where);
        std::vector<char> workspace(prepared.workspace_bytes, '\x5a'), packed(prepared.packed_bytes + 1, '\x5a');
        call.raw.workspace = {workspace.data(), workspace.size()};
        call.raw.packed = packed.data();
        call.raw.phase = GK_PACK;
        if (prepared.packed_bytes > 0) CHECK_WITH(gk_run_kernel("matmul_integer", call.get()) == GK_OK, where);
        call.raw.phase = GK_RUN;
        CHECK_WITH(gk_run_kernel("matmul_integer", call.get()) == GK_OK, where);
        const bool same = expected.empty() || std::memcmp(y.data(), expected.data(), expected.size() * 4) == 0;
        CHECK_WITH(same && y.guarded() && packed.back() == '\x5a', where);
        if (prepared.workspace_bytes == 0) continue;
        call.raw.workspace.size -= 1;
        CHECK_WITH(gk_run_kernel("matmul_integer", call.get()) == GK_WORKSPACE_TOO_SMALL, where);
      }
    }
  }
}

void check_size(gk_dtype of_a, gk_dtype of_b, int64_t m, int64_t k, int64_t n) {
  const std::string name = std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
  const auto zero = [](gk_dtype dtype, std::vector<int64_t> shape) {
    return movement::random_array(dtype, std::move(shape), 9);
  };
  Product p = {movement::random_array(of_a, {m, k}, 1), movement::random_array(of_b, {k, n}, 2), absent(), absent(), {},
               name};
  check_product(p, {m, k}, {m, n}, 1, m, k, n);
  p.a_zero = zero(of_a, {});
  p.b_zero = zero(of_b, {1});
  p.name = name + " zero points";
  check_product(p, {m, k}, {m, n}, 1, m, k, n);
  p.a_zero = zero(of_a, {m});
  p.b_zero = zero(of_b, {n});
  p.name = name + " zero points by row and column";
  check_product(p, {m, k}, {m, n}, 1, m, k, n);
}

void check_refused(const char* name, Array a, Array b, Array zero, std::vector<int64_t> y_shape, int status) {
  for (const int32_t isa : supported_levels()) {
    Array y(kI32, y_shape);
    Call call;
    call.inputs = {a.tensor(), b.tensor()};
    if (!zero.bytes.empty()) call.inputs.push_back(zero.tensor());
    call.outputs = {y.tensor()};
    call.raw.isa = isa;
    CHECK_WITH(gk_run_kernel("matmul_integer", call.get()) == status, name);
  }
}

}  // namespace

void test_matmul_integer() {
  for (const gk_dtype of_a : {kU8, kI8}) {
    for (const gk_dtype of_b : {kU8, kI8}) {
      for (const int64_t m : {1, 3, 8, 15, 29}) {
        for (const int64_t n : {1, 9, 33}) check_size(of_a, of_b, m, (m + 3 * n) % 13 + 1, n);
      }
    }
  }
  check_size(kU8, kI8, 3, 3300, 34);  // several ranges of k
  check_size(kU8, kI8, 300, 5, 9);    // several blocks of rows
  check_size(kU8, kI8, 4, 0, 5);
  check_size(kU8, kI8, 0, 4, 5);
  using movement::random_array;
  const Array a = random_array(kU8, {2, 3, 5, 7}), b = random_array(kI8, {7, 9});
  check_product({a, b, random_array(kU8, {1}), absent(), {}, "shared B"}, {2, 3, 5, 7}, {2, 3, 5, 9}, 6, 5, 7, 9);
  check_product({a, random_array(kI8, {2, 3, 7, 9}), random_array(kU8, {5, 1}), absent(), {}, "batches"}, {2, 3, 5, 7},
                {2, 3, 5, 9}, 6, 5, 7, 9);
  check_product({random_array(kI8, {7}), random_array(kU8, {7, 9}), absent(), random_array(kU8, {9}), {}, "vector"},
                {7}, {9}, 1, 1, 7, 9);
  check_product({random_array(kU8, {7, 5}), b, absent(), absent(), {1, 5}, "transposed"}, {5, 7}, {5, 9}, 1, 5, 7, 9);
  // The largest products there are: no instruction may saturate.
  for (const int64_t k : {4, 64}) {
    Array largest(kU8, {3, k}), smallest(kI8, {k, 5});
    std::memset(largest.data(), 0xff, static_cast<size_t>(largest.size()));
    std::memset(smallest.data(), 0x80, static_cast<size_t>(smallest.size()));
    check_product({largest, smallest, absent(), absent(), {}, "extremes"}, {3, k}, {3, 5}, 1, 3, k, 5);
  }
  check_refused("depths", random_array(kU8, {3, 4}), random_array(kU8, {5, 6}), absent(), {3, 6}, GK_INVALID_ARGUMENT);
  check_refused("dtype", random_array(kI32, {3, 4}), random_array(kU8, {4, 6}), absent(), {3, 6}, GK_UNSUPPORTED);
  check_refused("zero points", random_array(kU8, {3, 4}), random_array(kU8, {4, 6}), random_array(kU8, {2}), {3, 6},
                GK_INVALID_ARGUMENT);
  check_refused("zero point's dtype", random_array(kU8, {3, 4}), random_array(kU8, {4, 6}), random_array(kI8, {1}),
                {3, 6}, GK_INVALID_ARGUMENT);
}
