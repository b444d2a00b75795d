// cumsum: y[i] = x[0] + … + x[i] along an axis; `exclusive`: without x[i]; `reverse`: from the end.
//
// inputs   x: any numeric dtype, compact; axis: int64 or int32, one element, known when the step is prepared
// outputs  y: as x, compact; may be x
// bytes moved: x once, y once. Sums of halves are kept in float32 and rounded once an element; integers wrap.
#include "cpu/lib/axis.h"
#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/math/half.h"

namespace graphopt {
namespace GK_LEVEL {

int cumsum(const gk_call*);

namespace {

constexpr int64_t kColumns = 256;

struct State {
  AxisView view;
  int32_t exclusive, reverse;
};

int prepare(const gk_call* call, State* state, gk_prepared*) {
  if (!has_arity(call, 2, 1) || !has_input(call, 0) || !has_input(call, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  int64_t axis = 0;
  const int status = one_integer(call->inputs[1], &axis);
  if (status != GK_OK) return status;
  if (!is_compact(x) || !is_compact(y) || !view_along(x, axis, &state->view)) return GK_INVALID_ARGUMENT;
  if (y.dtype.code != x.dtype.code || y.dtype.bits != x.dtype.bits || y.ndim != x.ndim) return GK_INVALID_ARGUMENT;
  for (int d = 0; d < x.ndim; ++d) {
    if (y.shape[d] != x.shape[d]) return GK_INVALID_ARGUMENT;
  }
  const program::Type type = program::type_of(x.dtype);
  if (type == program::kNoType || type == program::kBool) return GK_UNSUPPORTED;
  state->exclusive = int_attribute(call, "exclusive", 0) != 0 ? 1 : 0;
  state->reverse = int_attribute(call, "reverse", 0) != 0 ? 1 : 0;
  return GK_OK;
}

struct Half {
  uint16_t bits;
  static float widen(Half h) { return float_from_f16(h.bits); }
  static Half narrow(float v) { return {f16_from_float(v)}; }
};
struct Brain {
  uint16_t bits;
  static float widen(Brain h) { return float_from_bf16(h.bits); }
  static Brain narrow(float v) { return {bf16_from_float(v)}; }
};
// Signed integers as unsigned ones: they wrap.
template <class T>
struct Plain {
  T value;
  static T widen(Plain p) { return p.value; }
  static Plain narrow(T v) { return {v}; }
};

struct Loop {
  const State& state;
  const void* x;
  void* y;
};

constexpr int64_t kRowsAtOnce = 8;

// Rows of contiguous elements, several at a time: a sum waits for the one before it, those of other rows do not.
template <class T>
void rows_body(void* context, int64_t begin, int64_t end, int32_t) {
  using Wide = decltype(T::widen(T{}));
  const Loop& loop = *static_cast<const Loop*>(context);
  const int64_t length = loop.state.view.length;
  const int64_t step = loop.state.reverse != 0 ? -1 : 1, first = loop.state.reverse != 0 ? length - 1 : 0;
  const bool exclusive = loop.state.exclusive != 0;
  for (int64_t row = begin; row < end; row += kRowsAtOnce) {
    const int64_t rows = end - row < kRowsAtOnce ? end - row : kRowsAtOnce;
    const T* x = static_cast<const T*>(loop.x) + row * length + first;
    T* y = static_cast<T*>(loop.y) + row * length + first;
    Wide sum[kRowsAtOnce] = {};
    const auto add = [&](int64_t r, int64_t at) __attribute__((always_inline)) {
      const Wide before = sum[r];
      sum[r] = static_cast<Wide>(before + T::widen(x[r * length + at]));
      y[r * length + at] = T::narrow(exclusive ? before : sum[r]);
    };
    for (int64_t i = 0; i < length; ++i) {
      if (rows == kRowsAtOnce) {
#pragma GCC unroll 8
        for (int64_t r = 0; r < kRowsAtOnce; ++r) add(r, i * step);
      } else {
        for (int64_t r = 0; r < rows; ++r) add(r, i * step);
      }
    }
  }
}

// Columns of [length, inner] matrices, kColumns of one matrix at a time.
template <class T>
void body(void* context, int64_t begin, int64_t end, int32_t) {
  using Wide = decltype(T::widen(T{}));
  const Loop& loop = *static_cast<const Loop*>(context);
  const AxisView& view = loop.state.view;
  const int64_t strips = (view.inner + kColumns - 1) / kColumns;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t col = task % strips * kColumns;
    const int64_t n = view.inner - col < kColumns ? view.inner - col : kColumns;
    const int64_t start = task / strips * view.length * view.inner + col;
    Wide sum[kColumns] = {};
    for (int64_t i = 0; i < view.length; ++i) {
      const int64_t at = start + (loop.state.reverse != 0 ? view.length - 1 - i : i) * view.inner;
      const T* x = static_cast<const T*>(loop.x) + at;
      T* y = static_cast<T*>(loop.y) + at;
      for (int64_t c = 0; c < n; ++c) {
        const Wide before = sum[c];
        sum[c] = static_cast<Wide>(before + T::widen(x[c]));
        y[c] = T::narrow(loop.state.exclusive != 0 ? before : sum[c]);
      }
    }
  }
}

int run(const gk_call* call, const State* state) {
  const gk_tensor& x = call->inputs[0];
  if (element_count(x) == 0) return GK_OK;
  if (x.data == nullptr || call->outputs[0].data == nullptr) return GK_INVALID_ARGUMENT;
  Loop loop = {*state, data_of<const void>(x), data_of<void>(call->outputs[0])};
  const AxisView& view = state->view;
  const int64_t tasks = view.outer * ((view.inner + kColumns - 1) / kColumns);
  const int64_t width = view.inner < kColumns ? view.inner : kColumns;
  const int64_t grain = kGrainBytes / (8 * view.length * width) + 1;
  const auto run_type = [&]<class T>() {
    return parallel_for(call, tasks, grain, view.inner == 1 ? rows_body<T> : body<T>, &loop);
  };
  switch (program::type_of(x.dtype)) {
    case program::kF32: return run_type.template operator()<Plain<float>>();
    case program::kF64: return run_type.template operator()<Plain<double>>();
    case program::kF16: return run_type.template operator()<Half>();
    case program::kBF16: return run_type.template operator()<Brain>();
    default: break;
  }
  switch (x.dtype.bits) {
    case 8: return run_type.template operator()<Plain<uint8_t>>();
    case 16: return run_type.template operator()<Plain<uint16_t>>();
    case 32: return run_type.template operator()<Plain<uint32_t>>();
    default: return run_type.template operator()<Plain<uint64_t>>();
  }
}

}  // namespace

int cumsum(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
