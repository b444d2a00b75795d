// pad against its definition per element: modes, negative pads, axes, dtypes, wide pads that reflect and wrap repeatedly.
#include "movement.h"

namespace {

using namespace movement;

// Where element `o` of an axis of `size` comes from, or -1: the kept elements, continued by the mode.
int64_t source(int64_t o, int64_t size, int64_t begin, int64_t end, const std::string& mode) {
  const int64_t first = begin < 0 ? -begin : 0, last = size - (end < 0 ? -end : 0) - 1; // kept
  int64_t at = o - begin;
  if (mode == "constant") return at < first || at > last ? -1 : at;
  const int64_t kept = last - first + 1;
  while (at < first || at > last) {
    if (mode == "edge" || (mode == "reflect" && kept == 1)) at = at < first ? first : last;
    else if (mode == "wrap") at += at < first ? kept : -kept;
    else at = at < first ? 2 * first - at : 2 * last - at;
  }
  return at;
}

struct Case {
  std::vector<int64_t> shape, pads;
  std::vector<int64_t> axes = {}; // none: all
};

void pads(gk_dtype dtype, const Case& test, const std::string& mode, bool with_value) {
  Array x = random_array(dtype, test.shape), amounts = int64s(test.pads), axes = int64s(test.axes);
  Array value = random_array(dtype, {}, 99);
  const size_t count = test.pads.size() / 2;
  std::vector<int64_t> begin(test.shape.size(), 0), end = begin, to = test.shape;
  for (size_t i = 0; i < count; ++i) {
    const int64_t given = test.axes.empty() ? static_cast<int64_t>(i) : test.axes[i];
    const size_t axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(to.size()) : given);
    begin[axis] = test.pads[i];
    end[axis] = test.pads[i + count];
    to[axis] += begin[axis] + end[axis];
  }
  Array expected(dtype, to);
  if (expected.count() > 0) {
    std::vector<int64_t> index(to.size(), 0);
    do {
      std::vector<int64_t> from(to.size());
      bool outside = false;
      for (size_t i = 0; i < to.size(); ++i) {
        from[i] = source(index[i], test.shape[i], begin[i], end[i], mode);
        outside = outside || from[i] < 0;
      }
      unsigned char* put = expected.data() + flat_index(to, index) * x.element();
      const auto size = static_cast<size_t>(x.element());
      if (!outside) std::memcpy(put, x.data() + flat_index(test.shape, from) * x.element(), size);
      else if (with_value) std::memcpy(put, value.data(), size);
      else std::memset(put, 0, size);
    } while (next_index(to, &index));
  }
  check_op("pad", {&x, &amounts, with_value ? &value : nullptr, test.axes.empty() ? nullptr : &axes}, expected,
           Attributes().text("mode", mode.c_str()), mode + " of " + graphopt::text_of(dims_of(test.shape)));
}

}  // namespace

void test_pad() {
  for (const char* mode : {"constant", "edge", "reflect", "wrap"}) {
    for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
      pads(dtype, {{3, 4}, {1, 2, 0, 3}}, mode, true);
      pads(dtype, {{2, 3, 5, 4}, {0, 0, 1, 2, 0, 0, 3, 1}}, mode, false);
      pads(dtype, {{2, 3, 5, 4}, {0, 1, 2, 0, 0, 2, 0, 0}}, mode, true);
    }
    pads(kF32, {{5, 6}, {-1, 2, 3, -2}}, mode, true);
    pads(kF32, {{5, 6}, {-2, -3, -1, -2}}, mode, false);
    pads(kF32, {{3}, {8, 9}}, mode, true);
    pads(kF32, {{1, 3}, {4, 0, 3, 0}}, mode, true);
    pads(kF32, {{2, 3, 4}, {1, 2, 3, 0}, {-1, 1}}, mode, true);
    pads(kF32, {{}, {}}, mode, true);
    pads(kF32, {{4, 3}, {0, 0, 0, 0}}, mode, true);
    pads(kF32, {{4}, {-2, -2}}, mode, true);
    pads(kF32, {{2, 700, 40}, {0, 3, 0, 0, 2, 0}}, mode, true);
    pads(kU8, {{1, 3, 60, 71}, {0, 0, 1, 1, 0, 0, 1, 1}}, mode, true);
    pads(kF32, {{3, 10'000}, {1, 0, 1, 0}}, mode, true);
  }
  pads(kF32, {{3}, {-5, 6}}, "constant", true);
  pads(kF32, {{0, 2}, {1, 1, 1, 0}}, "constant", true);

  Array x(kF32, {3, 2}), wrong = int64s({1, 0, 0}), shrinks = int64s({-2, 0, -2, 0}), fine = int64s({1, 0, 0, 0});
  Array empty(kF32, {0}), one = int64s({1, 0}), twice = int64s({0, -2}), value(kI32, {}), beyond = int64s({2});
  CHECK(!shapes_of("pad", {&x, &wrong}).ok);
  CHECK(!shapes_of("pad", {&x, &shrinks}).ok);
  CHECK(!shapes_of("pad", {&x, &fine}, Attributes().text("mode", "mirror")).ok);
  CHECK(!shapes_of("pad", {&x, &fine, &value}).ok);
  CHECK(!shapes_of("pad", {&x, &fine, nullptr, &twice}).ok);
  CHECK(!shapes_of("pad", {&x, &one, nullptr, &beyond}).ok);
  CHECK(!shapes_of("pad", {&empty, &one}, Attributes().text("mode", "edge")).ok);
  check_refused("pad", {&x, &fine}, Array(kF32, {5, 2}), GK_INVALID_ARGUMENT, {}, "output of other dims");
  check_refused("pad", {&x, &fine, nullptr, &twice}, Array(kF32, {4, 2}), GK_INVALID_ARGUMENT, {}, "an axis twice");
  check_refused("pad", {&x, &one, nullptr, &beyond}, Array(kF32, {4, 2}), GK_INVALID_ARGUMENT, {}, "no such axis");
  check_refused("pad", {&empty, &one}, Array(kF32, {1}), GK_INVALID_ARGUMENT, Attributes().text("mode", "edge"), "");
}
