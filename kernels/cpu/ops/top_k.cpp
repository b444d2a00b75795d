// top_k: the k largest (or smallest) elements along an axis, best first; of equals the one with the smaller index
// first. A NaN is above all numbers.
//
// inputs   x: any dtype, compact; k: looked at by the shape function only, the outputs say it
// outputs  values, as x but k long along the axis; indices (optional): int64, the same shape; compact
// attributes  axis (default -1), largest (default 1); sorted is always done
// method: a heap of the k best with the worst of them on top, in the memory of the outputs; n log k comparisons at
// worst, n + k log k log n for elements in random order.
#include "cpu/lib/axis.h"
#include "cpu/lib/lanes.h"
#include "cpu/lib/math/ordered.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {

int top_k(const gk_call*);

namespace {

struct State {
  AxisView view;
  int64_t k;
  int32_t largest;
};

int prepare(const gk_call* call, State* state, gk_prepared* prepared) {
  if ((!has_arity(call, 2, 2) && !has_arity(call, 2, 1)) || !has_input(call, 0)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &values = call->outputs[0];
  int64_t axis = int_attribute(call, "axis", -1);
  if (axis < 0) axis += x.ndim;
  const auto laid_out = [](const gk_tensor& t) { return t.ndim >= 0 && (element_count(t) == 0 || is_compact(t)); };
  if (!laid_out(x) || !laid_out(values) || !view_along(x, axis, &state->view)) return GK_INVALID_ARGUMENT;
  if (program::type_of(x.dtype) == program::kNoType) return GK_UNSUPPORTED;
  const bool indexed = call->output_count > 1 && call->outputs[1].ndim >= 0;
  const gk_tensor& indices = call->outputs[call->output_count - 1];
  if (values.dtype.code != x.dtype.code || values.dtype.bits != x.dtype.bits || values.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  if (indexed && (!is_dtype(indices, GK_INT, 64) || indices.ndim != x.ndim || !laid_out(indices))) return GK_INVALID_ARGUMENT;
  for (int d = 0; d < x.ndim; ++d) {
    if (d != axis && values.shape[d] != x.shape[d]) return GK_INVALID_ARGUMENT;
    if (indexed && indices.shape[d] != values.shape[d]) return GK_INVALID_ARGUMENT;
  }
  state->k = values.shape[axis];
  state->largest = int_attribute(call, "largest", 1) != 0 ? 1 : 0;
  if (state->k < 0 || state->k > state->view.length) return GK_INVALID_ARGUMENT;
  // Indices nobody wants still order equals.
  if (!indexed) prepared->workspace_bytes = static_cast<uint64_t>(element_count(values)) * sizeof(int64_t);
  return GK_OK;
}

struct Loop {
  const State& state;
  const void* x;
  void* values;
  int64_t* indices;
};

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;

// One heap: entry i is values[i * step], indices[i * step].
template <class T, bool kLargest>
struct Heap {
  T* values;
  int64_t* indices;
  int64_t step;

  // Whether (a, i) comes before (b, j) in the result.
  static bool before(T a, int64_t i, T b, int64_t j) {
    if (kLargest ? is_above(a, b) : is_above(b, a)) return true;
    if (kLargest ? is_above(b, a) : is_above(a, b)) return false;
    return i < j;
  }
  // Puts (value, index) at `at` or, as long as a child comes later in the result, below it.
  void sift(int64_t at, int64_t size, T value, int64_t index) {
    for (int64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && before(values[child * step], indices[child * step], values[(child + 1) * step],
                                     indices[(child + 1) * step])) {
        ++child;
      }
      if (!before(value, index, values[child * step], indices[child * step])) break;
      values[at * step] = values[child * step];
      indices[at * step] = indices[child * step];
      at = child;
    }
    values[at * step] = value;
    indices[at * step] = index;
  }
  // Whether a vector of elements has one that comes before `worst`.
  static bool any_above(const float* x, float worst) {
    const VecF32 v = load_lanes(x);
    if (kLargest) return worst == worst && vmath::any(~(v <= worst));
    return vmath::any(worst == worst ? v < worst : v == v);
  }
  void find(const T* x, int64_t n, int64_t k) {
    for (int64_t i = 0; i < k; ++i) {
      values[i * step] = x[i * step];
      indices[i * step] = i;
    }
    for (int64_t i = k / 2; i-- > 0;) sift(i, k, values[i * step], indices[i * step]);
    for (int64_t i = k; i < n; ++i) {
      if constexpr (kIsFloat<T>) {
        while (step == 1 && i + kLanes <= n && !any_above(x + i, values[0])) i += kLanes;
        if (i == n) break;
      }
      const T v = x[i * step];
      // Of equals the earlier one stays.
      if (kLargest ? is_above(v, values[0]) : is_above(values[0], v)) sift(0, k, v, i);
    }
    for (int64_t end = k; end-- > 1;) {
      const T value = values[end * step];
      const int64_t index = indices[end * step];
      values[end * step] = values[0];
      indices[end * step] = indices[0];
      sift(0, end, value, index);
    }
  }
};

template <class T>
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const AxisView& view = loop.state.view;
  const int64_t k = loop.state.k;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t outer = row / view.inner, inner = row % view.inner;
    const T* x = static_cast<const T*>(loop.x) + outer * view.length * view.inner + inner;
    T* values = static_cast<T*>(loop.values) + outer * k * view.inner + inner;
    int64_t* indices = loop.indices + outer * k * view.inner + inner;
    if (loop.state.largest != 0) {
      Heap<T, true>{values, indices, view.inner}.find(x, view.length, k);
    } else {
      Heap<T, false>{values, indices, view.inner}.find(x, view.length, k);
    }
  }
}

int run(const gk_call* call, const State* state) {
  const gk_tensor &x = call->inputs[0], &values = call->outputs[0];
  if (element_count(values) == 0) return GK_OK;
  const bool indexed = call->output_count > 1 && call->outputs[1].ndim >= 0;
  if (x.data == nullptr || values.data == nullptr || (indexed && call->outputs[1].data == nullptr)) return GK_INVALID_ARGUMENT;
  const uint64_t needed = indexed ? 0 : static_cast<uint64_t>(element_count(values)) * sizeof(int64_t);
  if (call->workspace.size < needed || (needed > 0 && call->workspace.data == nullptr)) return GK_WORKSPACE_TOO_SMALL;
  int64_t* indices = indexed ? data_of<int64_t>(call->outputs[1]) : static_cast<int64_t*>(call->workspace.data);
  Loop loop = {*state, data_of<const void>(x), data_of<void>(values), indices};
  const int64_t grain = kGrainBytes / (8 * state->view.length + 8) + 1;
  return for_ordered_type(x.dtype, [&]<class T>() {
    return parallel_for(call, state->view.outer * state->view.inner, grain, body<T>, &loop);
  });
}

}  // namespace

int top_k(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
