// rotary_embedding against plain loops in double.
#include "float_call.h"

namespace {

using namespace floats;

struct Options {
  int64_t batch = 2, heads = 3, length = 5, size = 8, rotated = 0, positions = 11;
  bool interleaved = false, by_id = false, flat = false;
};

// A 3-D X is [batch, length, heads · size], a 4-D one [batch, heads, length, size].
void compare(const Options& o, const std::string& name) {
  const int64_t rotated = o.rotated == 0 ? o.size : o.rotated, half = rotated / 2;
  const std::vector<int64_t> shape = o.flat ? std::vector<int64_t>{o.batch, o.length, o.heads * o.size}
                                            : std::vector<int64_t>{o.batch, o.heads, o.length, o.size};
  const std::vector<int64_t> cache = o.by_id ? std::vector<int64_t>{o.positions, half}
                                             : std::vector<int64_t>{o.batch, o.length, half};
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < o.batch * o.length; ++i) ids.push_back(i * 7 % o.positions);
  Case test = {"rotary_embedding", {random(shape, 1), random(cache, 2), random(cache, 3)},
               {integer("interleaved", o.interleaved), integer("rotary_embedding_dim", o.rotated),
                integer("num_heads", o.heads)}, 0, name};
  if (o.by_id) test.inputs.push_back(of_bytes<int64_t>(kI64, {o.batch, o.length}, ids));
  Expected y = zeros(shape);
  for (int64_t at = 0; at < count_of(shape); ++at) {
    const int64_t c = at % o.size, outer = at / o.size;
    const int64_t position = o.flat ? outer / o.heads % o.length : outer % o.length, batch = outer / o.heads / o.length;
    const double x = test.inputs[0].values[static_cast<size_t>(at)];
    double value = x, size = 0;
    if (c < rotated) {
      const bool second = o.interleaved ? c % 2 == 1 : c >= half;
      const int64_t pair = o.interleaved ? c / 2 : c % half, step = o.interleaved ? 1 : half;
      const double other = test.inputs[0].values[static_cast<size_t>(second ? at - step : at + step)];
      const int64_t row = batch * o.length + position, from = (o.by_id ? ids[static_cast<size_t>(row)] : row) * half + pair;
      const double cos = test.inputs[1].values[static_cast<size_t>(from)], sin = test.inputs[2].values[static_cast<size_t>(from)];
      value = second ? other * sin + x * cos : x * cos - other * sin;
      size = std::fabs(x * cos) + std::fabs(other * sin);
    }
    y.values[static_cast<size_t>(at)] = value;
    y.tolerance[static_cast<size_t>(at)] = 3 * kEpsilon * size;
  }
  check_shapes(test, {y});
  check(test, {y});
}

// X as the transpose of [batch, length, heads, size].
void views() {
  const std::vector<Tensor> caches = {random({2, 5, 4}, 2), random({2, 5, 4}, 3)};
  Tensor x = random({2, 3, 5, 8}, 1), view = x;
  Case compact = {"rotary_embedding", {x, caches[0], caches[1]}, {}, 0, "compact"}, strided = compact;
  for (int64_t i = 0; i < 240; ++i) {
    const int64_t c = i % 8, row = i / 8 % 5, head = i / 40 % 3, batch = i / 120;
    view.values[static_cast<size_t>(((batch * 5 + row) * 8 + c) * 3 + head)] = x.values[static_cast<size_t>(i)];
  }
  view.strides = {120, 1, 24, 3};
  strided.inputs[0] = view;
  for (const int32_t isa : supported_levels()) {
    const Result a = run_once(compact, {zeros(x.shape)}, isa, {true, false, 0});
    const Result b = run_once(strided, {zeros(x.shape)}, isa, {true, true, 0});
    CHECK(a.status == GK_OK && b.status == GK_OK);
    // The multiplications of vectors and of scalars may be fused differently.
    for (size_t i = 0; i < a.outputs[0].size(); ++i) CHECK(std::fabs(a.outputs[0][i] - b.outputs[0][i]) < 1e-6);
  }
}

void refusals() {
  const Tensor x = random({2, 3, 5, 8}, 1), cache = random({2, 5, 4}, 2), table = random({11, 4}, 2);
  const auto refused = [&](std::vector<Tensor> inputs, std::vector<gk_attribute> attributes, int status) {
    check_refused({"rotary_embedding", std::move(inputs), std::move(attributes), 0, "refused"}, {zeros(x.shape)}, status);
  };
  const auto ids = [](int64_t value) { return of_bytes<int64_t>(kI64, {2, 5}, std::vector<int64_t>(10, value)); };
  refused({x, cache}, {}, GK_INVALID_ARGUMENT);
  refused({x, cache, random({2, 5, 3}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({x, cache, cache}, {integer("rotary_embedding_dim", 10)}, GK_INVALID_ARGUMENT);
  refused({x, cache, cache, ids(0)}, {}, GK_INVALID_ARGUMENT);
  refused({x, table, table, ids(11)}, {}, GK_INVALID_ARGUMENT);
  refused({x, table, table, ids(-12)}, {}, GK_INVALID_ARGUMENT);
}

}  // namespace

void test_rotary_embedding() {
  for (const bool interleaved : {false, true}) {
    for (const bool by_id : {false, true}) {
      for (const bool flat : {false, true}) {
        for (const int64_t size : {2, 6, 8, 32, 34, 66}) {
          const std::string name = "size " + std::to_string(size);
          compare({.size = size, .interleaved = interleaved, .by_id = by_id, .flat = flat}, name);
          compare({.size = size, .rotated = 2, .interleaved = interleaved, .by_id = by_id, .flat = flat}, name);
        }
      }
    }
  }
  compare({.batch = 4, .heads = 8, .length = 40, .size = 64, .by_id = true}, "chunks");
  compare({.length = 0}, "empty");
  views();
  refusals();
}
