// arg_reduce: y = index of the largest (kind "max") or smallest ("min") element along `axis`; of equals the first,
// or the last where select_last_index is 1. The first NaN counts as both.
//
// inputs   x: any dtype and strides, not empty along the axis
// outputs  y: int64, without the axis or with a one in its place, compact
// bytes moved: x once.
#include "cpu/lib/broadcast.h"
#include "cpu/lib/ordered.h"

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

int run(const gk_call* call, const State* state) {
  if (state->outputs == 0) return GK_OK;
  const gk_tensor& x = call->inputs[0];
  if (x.data == nullptr || call->outputs[0].data == nullptr) return GK_INVALID_ARGUMENT;
  Loop loop = {*state, data_of<const void>(x), data_of<int64_t>(call->outputs[0])};
  const int64_t grain = kGrainBytes / (4 * state->length + 8) + 1;
  return for_ordered_type(x.dtype, [&]<class T>() { return parallel_for(call, state->outputs, grain, body<T>, &loop); });
}

}  // namespace

int arg_reduce(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
