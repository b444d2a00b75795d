// reduce against sums in double, one element at a time: every kind, any axes, strides, empty tensors, NaN, dtypes.
#include "arrays.h"

namespace {

using namespace oracle;

const char* const kKinds[] = {"sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"};

double reduce_all(const std::string& kind, const std::vector<double>& values) {
  double sum = 0, absolute = 0, square = 0, product = 1, most = -INFINITY, least = INFINITY;
  for (const double v : values) {
    sum += v;
    absolute += std::fabs(v);
    square += v * v;
    product *= v;
    most = v != v || most != most ? NAN : std::max(most, v);
    least = v != v || least != least ? NAN : std::min(least, v);
  }
  if (kind == "sum") return sum;
  if (kind == "mean") return sum / static_cast<double>(values.size());
  if (kind == "max") return most;
  if (kind == "min") return least;
  if (kind == "prod") return product;
  if (kind == "l1") return absolute;
  if (kind == "l2") return std::sqrt(square);
  if (kind == "log_sum") return std::log(sum);
  if (kind == "sum_square") return square;
  const double shift = std::isinf(most) ? 0 : most;
  double exponentials = 0;
  for (const double v : values) exponentials += std::exp(v - shift);
  return shift + std::log(exponentials);
}

int run(int32_t isa, const std::string& kind, Array& x, std::vector<int64_t> axes, Array& y, const gk_parallel* parallel = nullptr,
        Array* given = nullptr) {
  Call call;
  call.inputs = {x.tensor()};
  if (given != nullptr) call.inputs.push_back(given->tensor());
  call.outputs = {y.tensor()};
  call.attributes = {text("kind", kind.c_str())};
  if (!axes.empty()) call.attributes.push_back(ints("axes", axes));
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  return gk_run_kernel("reduce", call.get());
}

// The elements of x that go into each output, in double.
std::vector<std::vector<double>> groups_of(const Array& x, const Array& y) {
  std::vector<std::vector<double>> groups(static_cast<size_t>(count_of(y.shape)));
  const float* data = reinterpret_cast<const float*>(x.bytes.data());
  for (int64_t flat = 0; flat < count_of(x.shape); ++flat) {
    groups[static_cast<size_t>(offset_in(y, x.shape, flat))].push_back(data[offset_in(x, x.shape, flat)]);
  }
  return groups;
}

void reduces(int32_t isa, Array x, uint32_t mask) {
  const size_t rank = x.shape.size();
  std::vector<int64_t> axes, kept = x.shape, dropped;
  for (size_t d = 0; d < rank; ++d) {
    const bool gone = mask == 0 || (mask >> d & 1) != 0;
    if (!gone) dropped.push_back(x.shape[d]);
    if (gone) kept[d] = 1;
    if ((mask >> d & 1) != 0) axes.push_back(d % 2 == 0 ? static_cast<int64_t>(d) : static_cast<int64_t>(d) - static_cast<int64_t>(rank));
  }
  Array y = array(kF32, kept, std::vector<float>(static_cast<size_t>(count_of(kept))));
  const auto groups = groups_of(x, y);
  for (const char* kind : kKinds) {
    const std::string what = label(isa, std::string(kind) + " mask " + std::to_string(mask) + " of " + std::to_string(count_of(x.shape)));
    CHECK_WITH(run(isa, kind, x, axes, y) == GK_OK, what);
    const auto serial = values_of<float>(y);
    for (size_t i = 0; i < groups.size(); ++i) {
      const double want = reduce_all(kind, groups[i]), n = static_cast<double>(groups[i].size());
      double size = 1;
      for (const double v : groups[i]) size += std::fabs(v) + v * v;
      // Sums of up to 64 lanes and rows in turn, then double or blocks of 64: never more than 256 roundings deep.
      double bound = 256 * 6e-8 * size;
      if (kind[0] == 'p') bound = (n + 1) * 6e-8 * std::fabs(want) + 1e-37;
      if (std::string(kind) == "mean") bound /= n;
      if (std::string(kind) == "log_sum") bound = 256 * 6e-8 * (size / std::fabs(reduce_all("sum", groups[i])) + std::fabs(want));
      if (std::string(kind) == "max" || std::string(kind) == "min") bound = 0;
      const bool good = want != want ? serial[i] != serial[i] : serial[i] == static_cast<float>(want) || std::fabs(serial[i] - want) <= bound;
      CHECK_WITH(good, what + " " + std::to_string(serial[i]) + " instead of " + std::to_string(want));
    }
    Array flat = array(kF32, dropped, std::vector<float>(serial.size()));
    ReversedPool pool;
    CHECK_WITH(run(isa, kind, x, axes, flat, &pool.raw) == GK_OK, what);
    const auto parallel = values_of<float>(flat);
    CHECK_WITH(serial.empty() || std::memcmp(parallel.data(), serial.data(), 4 * serial.size()) == 0, what + " pool");
  }
}

void test_shapes(int32_t isa) {
  const std::vector<std::vector<int64_t>> shapes = {{1}, {17}, {5000}, {3, 5}, {70, 129}, {2, 3, 4}, {4, 65, 33}, {3, 1, 7}, {2, 3, 4, 5},
                                                    {2, 600, 3}, {0}, {3, 0, 2}, {130, 2}, {70, 4}, {37, 8}, {35, 16},
                                                    {67, 3}, {33, 37}, {18, 16, 2}, {20, 300}, {5, 4, 21, 9}};
  for (const auto& shape : shapes) {
    for (uint32_t mask = 0; mask < 1u << shape.size(); ++mask) reduces(isa, random_f32(shape, 0.5f, 1.25f, 3), mask);
  }
  Array transposed = random_f32({9, 40}, -1, 1, 4);
  transposed.strides = {1, 9};
  for (uint32_t mask = 0; mask < 4; ++mask) reduces(isa, transposed, mask);
  Array special = array(kF32, {2, 40}, std::vector<float>(80, 1.0f));
  float* data = reinterpret_cast<float*>(special.bytes.data());
  data[3] = kNan;
  data[41] = kInf;
  for (uint32_t mask = 1; mask < 4; ++mask) reduces(isa, special, mask);
  data[3] = -kInf;
  reduces(isa, special, 2);
}

template <class T>
void gives(int32_t isa, const char* kind, gk_dtype dtype, const std::vector<T>& x, T want) {
  Array in = array(dtype, {static_cast<int64_t>(x.size())}, x), out = array(dtype, {1}, std::vector<T>(1));
  CHECK_WITH(run(isa, kind, in, {}, out) == GK_OK, label(isa, kind));
  CHECK_WITH(values_of<T>(out)[0] == want, label(isa, std::string(kind) + " " + std::to_string(values_of<T>(out)[0])));
}

void test_dtypes(int32_t isa) {
  const int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  gives<int64_t>(isa, "sum", kI64, {most, 1, 5}, least + 5);
  gives<int64_t>(isa, "mean", kI64, {-7, 2}, -2);
  gives<int64_t>(isa, "max", kI64, {-7, -2}, -2);
  gives<int64_t>(isa, "max", kI64, {}, least);
  gives<int64_t>(isa, "min", kI64, {}, most);
  gives<int64_t>(isa, "l1", kI64, {-7, 2}, 9);
  gives<int32_t>(isa, "prod", kI32, {}, 1);
  gives<int32_t>(isa, "sum_square", kI32, {-3, 4}, 25);
  gives<int32_t>(isa, "min", kI32, {}, std::numeric_limits<int32_t>::max());
  gives<uint8_t>(isa, "sum", kU8, {200, 100}, 44);
  gives<uint8_t>(isa, "max", kU8, {200, 100}, 200);
  gives<uint8_t>(isa, "max", kBool8, {0, 1, 0}, 1);
  gives<uint8_t>(isa, "min", kBool8, {}, 1);
  gives<uint64_t>(isa, "max", kU64, {~0ull, 5}, ~0ull);
  gives<double>(isa, "mean", kF64, {1, 2, 6}, 3);
  gives<double>(isa, "log_sum_exp", kF64, {1000, 1000}, 1000 + std::log(2.0));
  gives<uint16_t>(isa, "sum", kF16, {0x3c00, 0x3c00, 0x1000}, 0x4000); // 1 + 1 + 2^-11 rounds to 2
  gives<uint16_t>(isa, "max", kBf16, {0x3f80, 0xc000}, 0x3f80);
}

// Wide types over rows, columns and planes, past the ends of chunks and chains.
template <class T>
void widened(int32_t isa, gk_dtype dtype, const std::vector<int64_t>& shape) {
  std::vector<T> values(static_cast<size_t>(count_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i * 37 % 23) - static_cast<T>(dtype.code == GK_UINT ? 0 : 9);
  Array x = array(dtype, shape, values);
  for (uint32_t mask = 1; mask < 1u << shape.size(); ++mask) {
    std::vector<int64_t> axes, kept = shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      if ((mask >> d & 1) == 0) continue;
      kept[d] = 1;
      axes.push_back(static_cast<int64_t>(d));
    }
    Array y = array(dtype, kept, std::vector<T>(static_cast<size_t>(count_of(kept))));
    std::vector<T> sums(static_cast<size_t>(count_of(kept))), most = sums, least = sums, squares = sums;
    std::vector<bool> seen(sums.size());
    for (int64_t flat = 0; flat < count_of(shape); ++flat) {
      const auto at = static_cast<size_t>(offset_in(y, shape, flat));
      const T v = values[static_cast<size_t>(flat)];
      sums[at] = static_cast<T>(sums[at] + v);
      squares[at] = static_cast<T>(squares[at] + v * v);
      most[at] = seen[at] ? std::max(most[at], v) : v;
      least[at] = seen[at] ? std::min(least[at], v) : v;
      seen[at] = true;
    }
    const std::pair<const char*, const std::vector<T>*> cases[] = {{"sum", &sums}, {"max", &most}, {"min", &least}, {"sum_square", &squares}};
    for (const auto& [kind, want] : cases) {
      ReversedPool pool;
      const std::string what = label(isa, std::string(kind) + " of " + std::to_string(dtype.bits) + " bits, mask " + std::to_string(mask));
      CHECK_WITH(run(isa, kind, x, axes, y) == GK_OK && values_of<T>(y) == *want, what);
      CHECK_WITH(run(isa, kind, x, axes, y, &pool.raw) == GK_OK && values_of<T>(y) == *want, what + " pool");
    }
  }
}

void test_widened(int32_t isa) {
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{3, 700}, {70, 31}, {5, 40, 7}, {2, 3, 300}}) {
    widened<int64_t>(isa, kI64, shape);
    widened<int32_t>(isa, kI32, shape);
    widened<uint8_t>(isa, kU8, shape);
    widened<uint64_t>(isa, kU64, shape);
    widened<double>(isa, kF64, shape);  // small integers: exact
  }
  std::vector<double> doubles(100, 1.0);
  doubles[70] = NAN;
  Array x = array(kF64, {2, 50}, doubles), y = array(kF64, {2}, std::vector<double>(2));
  for (const char* kind : {"sum", "max", "min"}) {
    CHECK(run(isa, kind, x, {1}, y) == GK_OK);
    const auto out = values_of<double>(y);
    CHECK_WITH(out[0] == (kind[0] == 's' ? 50.0 : 1.0) && out[1] != out[1], label(isa, kind));
  }
  gives<int64_t>(isa, "log_sum_exp", kI64, std::vector<int64_t>(40, 3), 6);  // 3 + ln 40
}

void test_refusals(int32_t isa) {
  Array x = random_f32({3, 4}, 0, 1, 1), row = random_f32({4}, 0, 1, 1), axes = array(kI64, {1}, std::vector<int64_t>{0});
  Array wrong = array(kI64, {1}, std::vector<int64_t>{2}), whole = array(kI64, {4}, std::vector<int64_t>(4));
  CHECK(run(isa, "sum", x, {}, row, nullptr, &axes) == GK_OK);
  CHECK(run(isa, "sum", x, {}, row, nullptr, &wrong) == GK_INVALID_ARGUMENT);
  CHECK(run(isa, "median", x, {0}, row) == GK_INVALID_ARGUMENT);
  CHECK(run(isa, "sum", x, {2}, row) == GK_INVALID_ARGUMENT);
  CHECK(run(isa, "sum", x, {1}, row) == GK_INVALID_ARGUMENT);
  CHECK(run(isa, "sum", x, {0}, whole) == GK_INVALID_ARGUMENT);
}

}  // namespace

void test_reduce() {
  for (const int32_t isa : supported_levels()) {
    test_shapes(isa);
    test_dtypes(isa);
    test_widened(isa);
    test_refusals(isa);
  }
}
