// gather_elements: y[i, j, k] = x[indices[i, j, k], j, k] for axis 0, and so on.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32, of x's rank, no larger than x in any dim but the axis;
//          negative ones count from the end; both row-major and compact
// outputs  y: x's dtype, the dims of indices, row-major and compact
// attributes  axis (default 0)
// bytes moved: size of y, read and written, and the indices twice: all are checked before anything is read.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/lines.h"

namespace graphopt {
namespace GK_LEVEL {

int gather_elements(const gk_call*);

namespace {

int prepare(const gk_call* call, Lines* lines, gk_prepared*) {
  if (!is_gather(call) || !same_dims(call->inputs[1], call->outputs[0])) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &indices = call->inputs[1];
  return describe_lines(x, indices, axis_attribute(call, 0, x.ndim), lines) ? GK_OK : GK_INVALID_ARGUMENT;
}

struct Work {
  const Lines* lines;
  Indices indices;
  const char* from;
  char* to;
  int64_t element;
};

template <int kBytes>
void gather_lines(const Work& work, int64_t begin, int64_t end) {
  const Lines& lines = *work.lines;
  for (int64_t line = begin; line < end; ++line) {
    const char* from = work.from + lines.base(line) * kBytes;
    const int64_t first = line * lines.length;
    char* to = work.to + first * kBytes;
    for (int64_t j = 0; j < lines.length; ++j) {
      const int64_t at = j * lines.step + work.indices.at(first + j, lines.dim) * lines.axis_stride;
      copy_element<kBytes>(to + j * kBytes, from + at * kBytes);
    }
  }
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  switch (work.element) {
    case 1: return gather_lines<1>(work, begin, end);
    case 2: return gather_lines<2>(work, begin, end);
    case 4: return gather_lines<4>(work, begin, end);
    case 8: return gather_lines<8>(work, begin, end);
    default: return gather_lines<16>(work, begin, end);
  }
}

int run(const gk_call* call, const Lines* lines) {
  const int64_t element = element_bytes(call->inputs[0]);
  Work work = {lines, Indices(call->inputs[1]), bytes_of(call->inputs[0]), bytes_of(call->outputs[0]), element};
  const int64_t count = lines->count * lines->length;
  if (count == 0) return GK_OK;
  if (!work.indices.within(count, lines->dim)) return GK_INVALID_ARGUMENT;
  return parallel_for(call, lines->count, grain_of(lines->length * 16), body, &work);
}

}  // namespace

int gather_elements(const gk_call* call) { return run_phase<Lines, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
