// arg_reduce: y = index of the largest (kind "max") or smallest ("min") element along `axis`; of equals the first,
// or the last where select_last_index is 1. The first NaN counts as both.
//
// inputs   x: any dtype and strides, not empty along the axis
// outputs  y: int64, without the axis or with a one in its place, compact
// bytes moved: x once. float32: lanes are neighbouring outputs, which short rows are transposed for; a long row is read
// twice, for the element and for where it is.
#include "cpu/lib/elementwise/broadcast.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/ordered.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {

int arg_reduce(const gk_call*);

namespace {

// The kept dims, and the axis apart from them.
struct State {
  int32_t rank, largest, last;
  int64_t dims[kMaxDims], strides[kMaxDims];
  int64_t outputs, length, step;
};

int prepare(const gk_call* call, State* state, gk_prepared*) {
  if (!has_arity(call, 1, 1) || !has_input(call, 0)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  const char* kind = string_attribute(call, "kind", "max");
  if (!same_text(kind, "max") && !same_text(kind, "min")) return GK_INVALID_ARGUMENT;
  if (x.ndim > kMaxDims || program::type_of(x.dtype) == program::kNoType) return GK_UNSUPPORTED;
  int64_t axis = int_attribute(call, "axis", 0);
  if (axis < 0) axis += x.ndim;
  if (axis < 0 || axis >= x.ndim || !is_dtype(y, GK_INT, 64) || !is_compact(y)) return GK_INVALID_ARGUMENT;
  state->largest = same_text(kind, "max") ? 1 : 0;
  state->last = int_attribute(call, "select_last_index", 0) != 0 ? 1 : 0;
  state->length = x.shape[axis];
  state->step = stride_of(x, static_cast<int>(axis));
  state->outputs = 1;
  const bool keep = y.ndim == x.ndim;
  if (!keep && y.ndim != x.ndim - 1) return GK_INVALID_ARGUMENT;
  for (int d = 0; d < x.ndim; ++d) {
    const int at = keep || d < axis ? d : d - 1;
    if (d == axis) {
      if (keep && y.shape[d] != 1) return GK_INVALID_ARGUMENT;
      continue;
    }
    if (y.shape[at] != x.shape[d]) return GK_INVALID_ARGUMENT;
    state->dims[state->rank] = x.shape[d];
    state->strides[state->rank++] = stride_of(x, d);
    state->outputs *= x.shape[d];
  }
  return state->length == 0 && state->outputs != 0 ? GK_INVALID_ARGUMENT : GK_OK;
}

struct Loop {
  const State& state;
  const void* x;
  int64_t* y;
};

// Whether v is to be taken instead of the best so far.
template <class T, bool kLargest, bool kLast>
inline bool replaces(T v, T best) {
  const auto a = comparable(v), b = comparable(best);
  if (b != b) return kLast && a != a;
  if (a != a) return true;
  if (kLast) return kLargest ? a >= b : a <= b;
  return kLargest ? a > b : a < b;
}

template <class T, bool kLargest, bool kLast>
int64_t find(const T* x, int64_t length, int64_t step) {
  T best = x[0];
  int64_t at = 0;
  for (int64_t i = 1; i < length; ++i) {
    if (!replaces<T, kLargest, kLast>(x[i * step], best)) continue;
    best = x[i * step];
    at = i;
  }
  return at;
}

template <class T>
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const State& state = loop.state;
  for (int64_t i = begin; i < end; ++i) {
    int64_t offset = 0, rest = i;
    for (int d = state.rank - 1; d >= 0; --d) {
      offset += rest % state.dims[d] * state.strides[d];
      rest /= state.dims[d];
    }
    const T* row = static_cast<const T*>(loop.x) + offset;
    loop.y[i] = state.largest != 0 ? state.last != 0 ? find<T, true, true>(row, state.length, state.step)
                                                     : find<T, true, false>(row, state.length, state.step)
                : state.last != 0  ? find<T, false, true>(row, state.length, state.step)
                                   : find<T, false, false>(row, state.length, state.step);
  }
}

// ---- float32 ----

constexpr int64_t kShortRow = 256;
constexpr int kStripVectors = 4;

// The lanes of v that are to be taken instead of the best so far.
template <bool kLargest, bool kLast>
GK_INLINE VecI32 replaces_lanes(VecF32 v, VecF32 best) {
  if (kLast) return (kLargest ? v >= best : v <= best) | (v != v);
  return ~(kLargest ? v <= best : v >= best) & (best == best);
}

// kVectors · kLanes outputs side by side (the first `part` of them where that is one vector): element k of each lies
// at x + k · step.
template <bool kLargest, bool kLast, int kVectors>
GK_INLINE void find_lanes(const float* x, int64_t step, int64_t length, int part, int64_t* y) {
  const auto at = [&](int64_t k, int v) __attribute__((always_inline)) {
    const float* from = x + k * step + v * kLanes;
    return kVectors > 1 || part == kLanes ? load_lanes(from) : load_part(from, part);
  };
  VecF32 best[kVectors];
  VecI32 index[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    best[v] = at(0, v);
    index[v] = VecI32{};
  }
  for (int64_t k = 1; k < length; ++k) {
    const VecI32 here = static_cast<int32_t>(k) - VecI32{};
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const VecF32 x_k = at(k, v);
      const VecI32 taken = replaces_lanes<kLargest, kLast>(x_k, best[v]);
      best[v] = taken ? x_k : best[v];
      index[v] = taken ? here : index[v];
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    int32_t lanes[kLanes];
    memcpy(lanes, &index[v], sizeof lanes);
    for (int i = 0; i < part; ++i) y[v * kLanes + i] = lanes[i];
  }
}

// Up to kLanes short rows.
template <bool kLargest, bool kLast>
void find_rows(const float* const* rows, int64_t length, int count, int64_t* y) {
  alignas(64) float transposed[kShortRow * kLanes];
  int64_t k = 0;
  do {  // a row has at least one element
    const int64_t width = length - k < kLanes ? length - k : kLanes;
    VecF32 tile[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) tile[r] = load_part(rows[r < count ? r : 0] + k, width);
    transpose_lanes(tile);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store_lanes(transposed + (k + i) * kLanes, tile[i]);
  } while ((k += kLanes) < length);
  find_lanes<kLargest, kLast, 1>(transposed, kLanes, length, count, y);
}

// The first (or last) of n elements for which `same` holds of a vector's lanes; there is one.
template <bool kLast, class Same>
GK_INLINE int64_t find_lane(const float* x, int64_t n, Same same) {
  const int64_t vectors = (n + kLanes - 1) / kLanes;
  for (int64_t step = 0; step < vectors; ++step) {
    const int64_t i = (kLast ? vectors - 1 - step : step) * kLanes, left = n - i;
    VecI32 index;
    for (int lane = 0; lane < kLanes; ++lane) index[lane] = lane;
    const VecF32 v = left >= kLanes ? load_lanes(x + i) : load_part(x + i, left);
    const VecI32 found = same(v) & (index < static_cast<int32_t>(left < kLanes ? left : kLanes));
    if (!vmath::any(found)) continue;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int at = kLast ? kLanes - 1 - lane : lane;
      if (found[at] != 0) return i + at;
    }
  }
  return 0;
}

// A long row: its best element, then where that is.
template <bool kLargest, bool kLast>
int64_t find_long(const float* x, int64_t n) {
  VecF32 best[4];
  for (VecF32& part : best) part = load_lanes(x);
  const auto better = [](VecF32 a, VecF32 b) { return kLargest ? vmath::max(a, b) : vmath::min(a, b); };
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int v = 0; v < 4; ++v) best[v] = better(best[v], load_lanes(x + i + v * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) best[0] = better(best[0], load_lanes(x + i));
  if (i < n) best[1] = better(best[1], load_lanes(x + n - kLanes));
  const VecF32 all = better(better(best[0], best[1]), better(best[2], best[3]));
  const float most = kLargest ? vmath::max_lanes(all) : vmath::min_lanes(all);
  if (most != most) return find_lane<kLast>(x, n, [](VecF32 v) { return v != v; });
  return find_lane<kLast>(x, n, [most](VecF32 v) { return v == most; });
}

// Where the elements of output `i` of the first `dims` kept dims begin.
int64_t offset_of(const State& state, int64_t i, int dims) {
  int64_t offset = 0;
  for (int d = dims - 1; d >= 0; --d) {
    offset += i % state.dims[d] * state.strides[d];
    i /= state.dims[d];
  }
  return offset;
}

template <bool kLargest, bool kLast>
void rows_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const State& state = loop.state;
  const float* x = static_cast<const float*>(loop.x);
  for (int64_t i = begin; i < end;) {
    if (state.length > kShortRow) {
      loop.y[i] = find_long<kLargest, kLast>(x + offset_of(state, i, state.rank), state.length);
      ++i;
      continue;
    }
    const float* rows[kLanes];
    const int count = end - i < kLanes ? static_cast<int>(end - i) : kLanes;
    for (int r = 0; r < count; ++r) rows[r] = x + offset_of(state, i + r, state.rank);
    find_rows<kLargest, kLast>(rows, state.length, count, loop.y + i);
    i += count;
  }
}

// Tasks are strips of kStripVectors vectors of the last kept dim, whose elements lie side by side.
template <bool kLargest, bool kLast>
void columns_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const State& state = loop.state;
  const int64_t cols = state.dims[state.rank - 1];
  const int64_t strips = (cols + kStripVectors * kLanes - 1) / (kStripVectors * kLanes);
  for (int64_t task = begin; task < end; ++task) {
    int64_t col = task % strips * kStripVectors * kLanes;
    const int64_t row = task / strips, stop = cols - col < kStripVectors * kLanes ? cols : col + kStripVectors * kLanes;
    const float* x = static_cast<const float*>(loop.x) + offset_of(state, row, state.rank - 1);
    int64_t* y = loop.y + row * cols;
    if (stop - col == kStripVectors * kLanes) {
      find_lanes<kLargest, kLast, kStripVectors>(x + col, state.step, state.length, kLanes, y + col);
      continue;
    }
    for (; col < stop; col += kLanes) {
      const int part = stop - col < kLanes ? static_cast<int>(stop - col) : kLanes;
      find_lanes<kLargest, kLast, 1>(x + col, state.step, state.length, part, y + col);
    }
  }
}

// GK_UNSUPPORTED where the elements lie neither along the axis nor across it.
int run_f32(const gk_call* call, const State& state, Loop* loop) {
  if (state.length > INT32_MAX) return GK_UNSUPPORTED;
  const int which = (state.largest != 0 ? 2 : 0) + (state.last != 0 ? 1 : 0);
  if (state.step == 1 || state.length == 1) {
    constexpr gk_body bodies[] = {rows_body<false, false>, rows_body<false, true>, rows_body<true, false>,
                                  rows_body<true, true>};
    return parallel_for(call, state.outputs, kGrainBytes / (4 * state.length + 16) + 1, bodies[which], loop);
  }
  if (state.rank == 0 || state.strides[state.rank - 1] != 1) return GK_UNSUPPORTED;
  constexpr gk_body bodies[] = {columns_body<false, false>, columns_body<false, true>, columns_body<true, false>,
                                columns_body<true, true>};
  const int64_t cols = state.dims[state.rank - 1], width = kStripVectors * kLanes;
  return parallel_for(call, state.outputs / cols * ((cols + width - 1) / width),
                      kGrainBytes / (4 * state.length * width) + 1, bodies[which], loop);
}

int run(const gk_call* call, const State* state) {
  if (state->outputs == 0) return GK_OK;
  const gk_tensor& x = call->inputs[0];
  if (x.data == nullptr || call->outputs[0].data == nullptr) return GK_INVALID_ARGUMENT;
  Loop loop = {*state, data_of<const void>(x), data_of<int64_t>(call->outputs[0])};
  if (is_f32(x)) {
    const int status = run_f32(call, *state, &loop);
    if (status != GK_UNSUPPORTED) return status;
  }
  const int64_t grain = kGrainBytes / (4 * state->length + 8) + 1;
  return for_ordered_type(x.dtype, [&]<class T>() { return parallel_for(call, state->outputs, grain, body<T>, &loop); });
}

}  // namespace

int arg_reduce(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
