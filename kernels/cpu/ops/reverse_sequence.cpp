// reverse_sequence: y[t, b, ..] = x[lens[b] - 1 - t, b, ..] for t < lens[b], else x[t, b, ..].
//
// inputs   x: any dtype of whole bytes, [T, B, ..] or [B, T, ..]; sequence_lens: int64 [B], 0 to T; row-major, compact
// outputs  y: x's dtype and dims, row-major and compact
// attributes  batch_axis (default 1), time_axis (default 0)
// bytes moved: size of y, read and written.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int reverse_sequence(const gk_call*);

namespace {

struct Reverse {
  int64_t rows, columns, block; // of the first two dims; bytes behind them
  bool time_first;
};

int prepare(const gk_call* call, Reverse* state, gk_prepared*) {
  if (!has_arity(call, 2, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &lens = call->inputs[1], &y = call->outputs[0];
  if (!is_movable_block(x) || !is_movable_block(lens) || !is_movable_block(y) || !same_dtype(x, y) ||
      !same_dims(x, y) || x.ndim < 2) {
    return GK_INVALID_ARGUMENT;
  }
  const int64_t batch = int_attribute(call, "batch_axis", 1), time = int_attribute(call, "time_axis", 0);
  if (!((batch == 0 && time == 1) || (batch == 1 && time == 0))) return GK_INVALID_ARGUMENT;
  if (!is_dtype(lens, GK_INT, 64) || lens.ndim != 1 || lens.shape[0] != x.shape[batch]) return GK_INVALID_ARGUMENT;
  *state = {x.shape[0], x.shape[1], dims_product(x, 2, x.ndim) * element_bytes(x), time == 0};
  return GK_OK;
}

struct Work {
  const Reverse* state;
  const int64_t* lens;
  const char* from;
  char* to;
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  const Reverse& s = *work.state;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t row = task / s.columns, column = task % s.columns;
    const int64_t t = s.time_first ? row : column, b = s.time_first ? column : row;
    const int64_t source = t < work.lens[b] ? work.lens[b] - 1 - t : t;
    const int64_t at = s.time_first ? source * s.columns + b : b * s.columns + source;
    copy_bytes(work.to + task * s.block, work.from + at * s.block, s.block);
  }
}

int run(const gk_call* call, const Reverse* state) {
  const gk_tensor& lens = call->inputs[1];
  const int64_t times = state->time_first ? state->rows : state->columns;
  for (int64_t i = 0; i < lens.shape[0]; ++i) {
    const int64_t length = data_of<int64_t>(lens)[i];
    if (length < 0 || length > times) return GK_INVALID_ARGUMENT;
  }
  if (element_count(call->outputs[0]) == 0) return GK_OK;
  Work work = {state, data_of<int64_t>(lens), bytes_of(call->inputs[0]), bytes_of(call->outputs[0])};
  return parallel_for(call, state->rows * state->columns, grain_of(state->block), body, &work);
}

}  // namespace

int reverse_sequence(const gk_call* call) { return run_phase<Reverse, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
