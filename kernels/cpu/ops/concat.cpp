// concat: y[.., offset of input i + k, ..] = input i[.., k, ..] along `axis`.
//
// inputs   any number, of one dtype and alike in all dims but `axis`; any strides
// outputs  y: that dtype, any strides
// attributes  axis (default 0)
// bytes moved: size of the output, read and written.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/move.h"
#include "cpu/lib/move/strided_copy.h"
#include "cpu/lib/move/transpose_tile.h"

namespace graphopt {
namespace GK_LEVEL {

int concat(const gk_call*);

namespace {

struct Concat {
  int64_t outer; // rows of the output: its elements before the axis
  int64_t parts; // pieces of work; each holds the same share of every input
  int32_t axis;
  bool compact; // all of them
  bool singles; // and each gives one element of four bytes to a row
};

int prepare(const gk_call* call, Concat* state, gk_prepared*) {
  if (call->input_count < 1 || !has_arity(call, call->input_count, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor& y = call->outputs[0];
  if (!is_movable(y)) return GK_INVALID_ARGUMENT;
  state->axis = axis_attribute(call, 0, y.ndim);
  if (state->axis < 0) return GK_INVALID_ARGUMENT;
  state->compact = is_compact(y);
  int64_t along = 0;
  bool single = dims_product(y, state->axis + 1, y.ndim) * element_bytes(y) == 4;
  for (int i = 0; i < call->input_count; ++i) {
    const gk_tensor& x = call->inputs[i];
    if (!is_movable(x) || !same_dtype(x, y) || x.ndim != y.ndim) return GK_INVALID_ARGUMENT;
    for (int k = 0; k < y.ndim; ++k) {
      if (k != state->axis && x.shape[k] != y.shape[k]) return GK_INVALID_ARGUMENT;
    }
    if (__builtin_add_overflow(along, x.shape[state->axis], &along)) return GK_INVALID_ARGUMENT;
    state->compact = state->compact && is_compact(x);
    single = single && x.shape[state->axis] == 1;
  }
  if (along != y.shape[state->axis]) return GK_INVALID_ARGUMENT;
  const int64_t bytes = element_count(y) * element_bytes(y);
  state->outer = dims_product(y, 0, state->axis);
  // Rows are cut where there are too few of them to share.
  state->parts = bytes / kGrainBytes < 1 ? 1 : bytes / kGrainBytes;
  if (state->compact && state->outer >= state->parts) state->parts = state->outer;
  else state->compact = state->compact && state->parts == 1;
  state->singles = state->compact && single;
  return GK_OK;
}

struct Work {
  const gk_call* call;
  const Concat* state;
};

// Rows [begin, end) of single elements, four inputs at a time, transposed in registers; answers how many inputs that
// were.
int interleave_rows(const Work& work, int64_t begin, int64_t end) {
  using Tile = TileVector<4, 4>;
  const int whole = work.call->input_count / 4 * 4;
  const int64_t row = work.call->input_count * 4;
  for (int i = 0; i < whole; i += 4) {
    const char* from[4];
    for (int j = 0; j < 4; ++j) from[j] = bytes_of(work.call->inputs[i + j]);
    char* to = bytes_of(work.call->outputs[0]) + i * 4;
    int64_t o = begin;
    for (; o + 4 <= end; o += 4) {
      Tile::Type v[4];
      for (int j = 0; j < 4; ++j) v[j] = *reinterpret_cast<const Tile::Unaligned*>(from[j] + o * 4);
      transpose_registers<4>(v);
      for (int k = 0; k < 4; ++k) *reinterpret_cast<Tile::Unaligned*>(to + (o + k) * row) = v[k];
    }
    for (int j = 0; j < 4; ++j) copy_rows(to + o * row + j * 4, row, from[j] + o * 4, 4, end - o, 4);
  }
  return whole;
}

// Rows [begin, end) where everything is compact: a run of bytes from each input in turn.
void compact_rows(const Work& work, int64_t begin, int64_t end) {
  const gk_tensor& y = work.call->outputs[0];
  const int axis = work.state->axis;
  const int64_t slice = dims_product(y, axis + 1, y.ndim) * element_bytes(y), row = y.shape[axis] * slice;
  char* to = bytes_of(y);
  int done = 0;
  if (work.state->singles) {
    done = interleave_rows(work, begin, end);
    to += done * slice;
  }
  for (int i = done; i < work.call->input_count; ++i) {
    const gk_tensor& x = work.call->inputs[i];
    const int64_t run = x.shape[axis] * slice;
    copy_rows(to + begin * row, row, bytes_of(x) + begin * run, run, end - begin, run);
    to += run;
  }
}

// Shares [begin, end) of all inputs, whatever their strides.
void strided_parts(const Work& work, int64_t begin, int64_t end) {
  const gk_tensor& y = work.call->outputs[0];
  const int axis = work.state->axis;
  int64_t from[kMoveRank], to[kMoveRank];
  for (int k = 0; k < y.ndim; ++k) to[k] = stride_of(y, k);
  char* out = bytes_of(y);
  for (int i = 0; i < work.call->input_count; ++i) {
    const gk_tensor& x = work.call->inputs[i];
    for (int k = 0; k < x.ndim; ++k) from[k] = stride_of(x, k);
    const StridedCopy copy = describe_copy(x.ndim, x.shape, from, to, element_bytes(x));
    const int64_t parts = work.state->parts;
    copy_range(copy, bytes_of(x), out, copy.tasks * begin / parts, copy.tasks * end / parts);
    out += x.shape[axis] * to[axis] * element_bytes(y);
  }
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  if (work.state->compact) {
    // Where a row is made of many inputs, a block of rows stays in the first-level cache until all are in it.
    const int64_t rows = work.state->singles ? 16 * 1024 / (4 * work.call->input_count) + 1 : end - begin;
    for (int64_t o = begin; o < end; o += rows) compact_rows(work, o, end - o < rows ? end : o + rows);
  } else {
    strided_parts(work, begin, end);
  }
}

int run(const gk_call* call, const Concat* state) {
  const gk_tensor& y = call->outputs[0];
  if (element_count(y) == 0) return GK_OK;
  Work work = {call, state};
  const int64_t bytes = element_count(y) * element_bytes(y);
  return parallel_for(call, state->parts, grain_of(bytes / state->parts), body, &work);
}

}  // namespace

int concat(const gk_call* call) { return run_phase<Concat, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
