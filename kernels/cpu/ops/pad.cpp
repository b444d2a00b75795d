// pad: y = x with elements put before and after it along each axis, or taken away where a pad is negative.
//
// inputs   x: any dtype of whole bytes, row-major and compact; pads: int64 or int32 [begins…, ends…];
//          value?: one element (default 0); axes?: the axes of the pads (default: all)
// outputs  y: the same dtype, dims = dims of x + begins + ends, row-major and compact
// attributes  mode: constant (default), edge, reflect, wrap. Negative pads are taken off first.
// bytes moved: size of y written, of what is kept of x read.
//
// The last padded axis makes rows; the dims behind it are one block of bytes that moves as a whole.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/indices.h"

namespace graphopt {
namespace GK_LEVEL {

int pad(const gk_call*);

namespace {

enum Mode { kConstant, kEdge, kReflect, kWrap, kUnknown };

Mode mode_of(const char* name) {
  return same_text(name, "constant") ? kConstant
         : same_text(name, "edge")   ? kEdge
         : same_text(name, "reflect") ? kReflect
         : same_text(name, "wrap")   ? kWrap
                                     : kUnknown;
}

struct Pad {
  int32_t mode;
};

int prepare(const gk_call* call, Pad* state, gk_prepared*) {
  if (call->input_count < 2 || call->input_count > 4 || !has_arity(call, call->input_count, 1)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_movable_block(x) || !is_movable_block(y) || !same_dtype(x, y) || x.ndim != y.ndim) {
    return GK_INVALID_ARGUMENT;
  }
  if (!is_index_tensor(call->inputs[1])) return GK_INVALID_ARGUMENT;
  int64_t axes = x.ndim;
  if (has_input(call, 3)) {
    if (!is_index_tensor(call->inputs[3])) return GK_INVALID_ARGUMENT;
    axes = element_count(call->inputs[3]);
  }
  if (axes > x.ndim || element_count(call->inputs[1]) != 2 * axes) return GK_INVALID_ARGUMENT;
  if (has_input(call, 2)) {
    const gk_tensor& value = call->inputs[2];
    if (!is_movable_block(value) || !same_dtype(value, x) || element_count(value) != 1) return GK_INVALID_ARGUMENT;
  }
  state->mode = mode_of(string_attribute(call, "mode", "constant"));
  return state->mode == kUnknown ? GK_INVALID_ARGUMENT : GK_OK;
}

// One axis: position `o` of the output is position o - begin of the input, as far as that is kept.
struct Axis {
  int64_t out, in;     // sizes
  int64_t begin;       // elements put before; negative: taken away
  int64_t first, kept; // of the input

  // Where element `o` of the output comes from; -1: it is the constant.
  int64_t source(int64_t o, int mode) const {
    int64_t at = o - begin - first;
    if (at >= 0 && at < kept) return first + at;
    switch (mode) {
      case kConstant: return -1;
      case kEdge: return at < 0 ? first : first + kept - 1;
      case kWrap:
        if (at < 0 && at >= -kept) return first + at + kept;
        at %= kept;
        return first + (at < 0 ? at + kept : at);
      default: {
        if (kept == 1) return first;
        if (at < 0 && -at < kept) return first - at;  // pads are rarely longer than what they reflect
        if (at >= kept && at < 2 * kept - 1) return first + 2 * (kept - 1) - at;
        const int64_t period = 2 * (kept - 1);
        at %= period;
        if (at < 0) at += period;
        return first + (at < kept ? at : period - at);
      }
    }
  }
};

struct Work {
  Axis axes[kMoveRank];
  int last;  // the axis that makes rows
  int mode;
  int64_t block;  // bytes behind it
  FillPattern value;
  const char* from;
  char* to;
};

// Positions [begin, end) of a row one by one.
void copy_blocks(const Work& work, char* to, const char* from, int64_t begin, int64_t end) {
  const Axis& axis = work.axes[work.last];
  for (int64_t o = begin; o < end; ++o) {
    copy_bytes(to + o * work.block, from + axis.source(o, work.mode) * work.block, work.block);
  }
}

// Positions [begin, end) of the row of the output at `to`, from the row at `from`.
void write_row(const Work& work, char* to, const char* from, int64_t begin, int64_t end) {
  const Axis& axis = work.axes[work.last];
  // What is copied as it stands, between two ends that are not.
  int64_t low = axis.begin > 0 ? axis.begin : 0, high = low + axis.kept;
  low = low < begin ? begin : low > end ? end : low;
  high = high < low ? low : high > end ? end : high;
  if (work.mode == kConstant) {
    fill_bytes(to + begin * work.block, work.value, (low - begin) * work.block);
    fill_bytes(to + high * work.block, work.value, (end - high) * work.block);
  } else {
    copy_blocks(work, to, from, begin, low);
    copy_blocks(work, to, from, high, end);
  }
  if (high > low) {
    copy_bytes(to + low * work.block, from + (low - axis.begin) * work.block, (high - low) * work.block);
  }
}

// Which row of the input the axes [0, last) of row `row` of the output come from, all but the innermost of them: that
// one's own position is added by the caller. -1: all constant.
int64_t outer_source(const Work& work, int64_t row) {
  int64_t from = 0, stride = work.last > 0 ? work.axes[work.last - 1].in : 1;
  for (int i = work.last - 2; i >= 0; --i) {
    const Axis& axis = work.axes[i];
    const int64_t at = axis.source(row % axis.out, work.mode);
    if (at < 0) return -1;
    from += at * stride;
    row /= axis.out;
    stride *= axis.in;
  }
  return from;
}

// Blocks [begin, end) of the output.
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  const int64_t columns = work.axes[work.last].out, in_row = work.axes[work.last].in * work.block;
  const Axis one = {1, 1, 0, 0, 1};
  const Axis& rows = work.last > 0 ? work.axes[work.last - 1] : one;
  int64_t row = begin / columns, first = begin % columns, left = end - begin;
  while (left > 0) {
    const int64_t outer = outer_source(work, row / rows.out);
    for (int64_t r = row % rows.out; r < rows.out && left > 0; ++r, ++row, first = 0) {
      const int64_t last = columns - first < left ? columns : first + left;
      const int64_t at = outer < 0 ? -1 : rows.source(r, work.mode);
      char* to = work.to + row * columns * work.block;
      if (at < 0) {
        fill_bytes(to + first * work.block, work.value, (last - first) * work.block);
      } else {
        write_row(work, to, work.from + (outer + at) * in_row, first, last);
      }
      left -= last - first;
    }
  }
}

int run(const gk_call* call, const Pad* state) {
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  Work work;
  work.mode = state->mode;
  for (int i = 0; i < x.ndim; ++i) work.axes[i] = {y.shape[i], x.shape[i], 0, 0, x.shape[i]};
  const Indices pads(call->inputs[1]);
  const int64_t count = element_count(call->inputs[1]) / 2;
  uint32_t seen = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = i;
    if (has_input(call, 3)) {
      const Indices axes(call->inputs[3]);
      if (axes[i] < -x.ndim || axes[i] >= x.ndim) return GK_INVALID_ARGUMENT;
      at = axes.at(i, x.ndim);
    }
    if ((seen >> at & 1) != 0) return GK_INVALID_ARGUMENT;
    seen |= 1u << at;
    Axis& axis = work.axes[at];
    const int64_t begin = pads[i], end = pads[i + count];
    int64_t out;
    if (__builtin_add_overflow(axis.in, begin, &out) || __builtin_add_overflow(out, end, &out) || out != axis.out) {
      return GK_INVALID_ARGUMENT;
    }
    axis.begin = begin;
    axis.first = begin < 0 ? (begin < -axis.in ? axis.in : -begin) : 0;
    axis.kept = axis.in - axis.first + (end < 0 ? (end < -axis.in ? -axis.in : end) : 0);
    if (axis.kept < 0) axis.kept = 0;
    if (work.mode != kConstant && axis.kept == 0 && axis.out > 0) return GK_INVALID_ARGUMENT;
  }
  for (int i = 0; i < x.ndim; ++i) {
    if ((seen >> i & 1) == 0 && x.shape[i] != y.shape[i]) return GK_INVALID_ARGUMENT;
  }
  if (element_count(y) == 0) return GK_OK;
  work.last = 0;
  for (int i = 0; i < x.ndim; ++i) {
    if (work.axes[i].out != work.axes[i].in || work.axes[i].begin != 0) work.last = i;
  }
  if (x.ndim == 0) work.axes[0] = {1, 1, 0, 0, 1};
  work.block = dims_product(y, x.ndim == 0 ? 0 : work.last + 1, y.ndim) * element_bytes(y);
  work.from = bytes_of(x);
  work.to = bytes_of(y);
  work.value = has_input(call, 2) ? fill_pattern(bytes_of(call->inputs[2]), element_bytes(y)) : FillPattern{};
  const int64_t tasks = element_count(y) * element_bytes(y) / work.block;
  return parallel_for(call, tasks, grain_of(work.block), body, &work);
}

}  // namespace

int pad(const gk_call* call) { return run_phase<Pad, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
