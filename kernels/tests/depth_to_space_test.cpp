// depth_to_space and space_to_depth against their formulas, in both modes and layouts.
#include "movement.h"

namespace {

using namespace movement;

struct Case {
  int64_t n, c, h, w, b; // C and the pixels of the deep side
};

// Calls both operators with the two sides filled by the definition.
void moves(gk_dtype dtype, const Case& t, bool channel_first, bool last) {
  const auto dims = [last](int64_t n, int64_t c, int64_t h, int64_t w) {
    return last ? std::vector<int64_t>{n, h, w, c} : std::vector<int64_t>{n, c, h, w};
  };
  const std::vector<int64_t> deep_dims = dims(t.n, t.c * t.b * t.b, t.h, t.w),
                             wide_dims = dims(t.n, t.c, t.h * t.b, t.w * t.b);
  Array deep = random_array(dtype, deep_dims), wide(dtype, wide_dims);
  for (int64_t i = 0; i < wide.count(); ++i) {
    int64_t at = i;
    const auto next = [&at](int64_t size) {
      const int64_t index = at % size;
      at /= size;
      return index;
    };
    int64_t c = last ? next(t.c) : 0;
    const int64_t x = next(t.w * t.b), y = next(t.h * t.b);
    if (!last) c = next(t.c);
    const int64_t n = at, pixel = y % t.b * t.b + x % t.b;
    const int64_t channel = channel_first ? c * t.b * t.b + pixel : pixel * t.c + c;
    const int64_t from = flat_index(deep_dims, dims(n, channel, y / t.b, x / t.b));
    std::memcpy(wide.data() + i * wide.element(), deep.data() + from * wide.element(),
                static_cast<size_t>(wide.element()));
  }
  Attributes attributes = Attributes().integer("blocksize", t.b);
  if (last) attributes.integer("channels_last", 1);
  const std::string context = graphopt::text_of(dims_of(deep_dims));
  if (!channel_first) check_op("space_to_depth", {&wide}, deep, attributes, context);
  if (channel_first) attributes.text("mode", "CRD");
  check_op("depth_to_space", {&deep}, wide, attributes, context);
}

}  // namespace

void test_depth_to_space() {
  for (const bool last : {false, true}) {
    for (const bool channel_first : {false, true}) {
      for (const gk_dtype dtype : {kU8, kU16, kF32, kF64}) {
        moves(dtype, {2, 3, 2, 5, 2}, channel_first, last);
        moves(dtype, {1, 1, 4, 3, 3}, channel_first, last);
        moves(dtype, {1, 5, 2, 2, 1}, channel_first, last);
        moves(dtype, {0, 1, 2, 2, 2}, channel_first, last);
      }
      moves(kF32, {1, 8, 19, 40, 2}, channel_first, last);
    }
  }
  Array odd(kF32, {1, 6, 2, 2}), flat(kF32, {8, 2, 2}), fine(kF32, {1, 8, 2, 2});
  const Attributes two = Attributes().integer("blocksize", 2);
  CHECK(!shapes_of("depth_to_space", {&odd}, two).ok);
  CHECK(!shapes_of("depth_to_space", {&flat}, two).ok);
  CHECK(!shapes_of("depth_to_space", {&fine}).ok);
  CHECK(!shapes_of("depth_to_space", {&fine}, Attributes().integer("blocksize", 2).text("mode", "RCD")).ok);
  CHECK(!shapes_of("space_to_depth", {&fine}, Attributes().integer("blocksize", 3)).ok);
  check_refused("depth_to_space", {&fine}, Array(kF32, {1, 2, 4, 5}), GK_INVALID_ARGUMENT, two, "other dims");
  check_refused("space_to_depth", {&fine}, Array(kF32, {1, 32, 1, 2}), GK_INVALID_ARGUMENT, two, "other dims");
}
