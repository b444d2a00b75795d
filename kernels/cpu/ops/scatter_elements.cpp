// scatter_elements: y = x, then y[indices[i, j, k], j, k] = f(y[..], updates[i, j, k]) for axis 0, and so on, in row-major
// order of the updates.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32, of x's rank, no larger than x in any dim but the axis,
//          negative ones count from the end; updates: x's dtype, the dims of indices; all row-major and compact
// outputs  y: x's dtype and dims, row-major and compact; may be x itself
// attributes  axis (default 0), reduction: f = the update (none), add, mul, max or min
// bytes moved: size of x read and written, updates read, as many elements of y read and written.
#include "cpu/lib/move/lines.h"
#include "cpu/lib/move/scatter.h"

namespace graphopt {
namespace GK_LEVEL {

int scatter_elements(const gk_call*);

namespace {

struct Scatter {
  Lines lines;
  bool lines_are_apart; // each line writes elements that no other one does
};

int prepare(const gk_call* call, Scatter* state, gk_prepared*) {
  const int status = check_scatter(call);
  if (status != GK_OK) return status;
  const gk_tensor &x = call->inputs[0], &indices = call->inputs[1];
  const int axis = axis_attribute(call, 0, x.ndim);
  if (!same_dims(indices, call->inputs[2]) || !describe_lines(x, indices, axis, &state->lines)) {
    return GK_INVALID_ARGUMENT;
  }
  state->lines_are_apart = axis == x.ndim - 1;
  return GK_OK;
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const auto& work = *static_cast<const ScatterWork<Lines>*>(context);
  const Lines& lines = *work.where;
  for (int64_t line = begin; line < end; ++line) {
    char* to = work.to + lines.base(line) * work.element;
    const int64_t first = line * lines.length;
    for (int64_t j = 0; j < lines.length; ++j) {
      const int64_t at = j * lines.step + work.indices.at(first + j, lines.dim) * lines.axis_stride;
      work.apply(to + at * work.element, work.updates + (first + j) * work.element, 1);
    }
  }
}

int run(const gk_call* call, const Scatter* state) {
  const Lines& lines = state->lines;
  ScatterWork<Lines> work(call, &lines);
  const int64_t count = lines.count * lines.length;
  if (!work.indices.within(count, lines.dim)) return GK_INVALID_ARGUMENT;
  const int status = begin_scatter(call);
  if (status != GK_OK || count == 0) return status;
  if (!state->lines_are_apart) {
    body(&work, 0, lines.count, 0);
    return GK_OK;
  }
  return parallel_for(call, lines.count, grain_of(lines.length * 16), body, &work);
}

}  // namespace

int scatter_elements(const gk_call* call) { return run_phase<Scatter, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
