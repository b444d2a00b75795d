// trilu: y = x on and above diagonal k (`upper` 1) or on and below it (`upper` 0), zero elsewhere, in each matrix.
//
// inputs   x: any dtype of whole bytes, [.., rows, columns]; k?: one int64 (default 0); row-major and compact
// outputs  y: x's dtype and dims, row-major and compact; may be x itself
// attributes  upper (default 1)
// bytes moved: size of y written, about half as much read.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int trilu(const gk_call*);

namespace {

struct Trilu {
  int64_t matrices, rows, columns;
  int64_t element;
  bool upper;
};

int prepare(const gk_call* call, Trilu* state, gk_prepared*) {
  if (call->input_count < 1 || call->input_count > 2 || !has_arity(call, call->input_count, 1)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_movable_block(x) || !is_movable_block(y) || !same_dtype(x, y) || !same_dims(x, y) || x.ndim < 2) {
    return GK_INVALID_ARGUMENT;
  }
  if (has_input(call, 1)) {
    const gk_tensor& k = call->inputs[1];
    if (!is_movable_block(k) || !is_dtype(k, GK_INT, 64) || element_count(k) != 1) return GK_INVALID_ARGUMENT;
  }
  *state = {dims_product(x, 0, x.ndim - 2), x.shape[x.ndim - 2], x.shape[x.ndim - 1], element_bytes(x),
            int_attribute(call, "upper", 1) != 0};
  return GK_OK;
}

struct Work {
  const Trilu* state;
  int64_t diagonal;
  const char* from;
  char* to;
};

int64_t clamped(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  const Trilu& s = *work.state;
  for (int64_t line = begin; line < end; ++line) {
    const int64_t row = line % s.rows;
    // Columns [first, last) stay.
    const int64_t edge = clamped(row + work.diagonal + (s.upper ? 0 : 1), 0, s.columns);
    const int64_t first = s.upper ? edge : 0, last = s.upper ? s.columns : edge;
    const char* from = work.from + line * s.columns * s.element;
    char* to = work.to + line * s.columns * s.element;
    fill_bytes(to, FillPattern{}, first * s.element);
    if (to != from) copy_bytes(to + first * s.element, from + first * s.element, (last - first) * s.element);
    fill_bytes(to + last * s.element, FillPattern{}, (s.columns - last) * s.element);
  }
}

int run(const gk_call* call, const Trilu* state) {
  const gk_tensor& y = call->outputs[0];
  if (element_count(y) == 0) return GK_OK;
  const int64_t k = has_input(call, 1) ? *data_of<int64_t>(call->inputs[1]) : 0;
  // Beyond the corners every diagonal is alike.
  Work work = {state, clamped(k, -state->rows - 1, state->columns + 1), bytes_of(call->inputs[0]), bytes_of(y)};
  return parallel_for(call, state->matrices * state->rows, grain_of(state->columns * state->element), body, &work);
}

}  // namespace

int trilu(const gk_call* call) { return run_phase<Trilu, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
