// gather: y[a.., i.., b..] = x[a.., indices[i..], b..], with the indices in the place of `axis`.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32, negative ones count from the end; both row-major and
//          compact
// outputs  y: x's dtype, row-major and compact
// attributes  axis (default 0)
// bytes moved: size of y, read and written, and the indices twice: all are checked before anything is read.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/indices.h"

namespace graphopt {
namespace GK_LEVEL {

int gather(const gk_call*);

namespace {

struct Gather {
  int64_t outer, dim, count; // before the axis, along it, indices
  int64_t block, pieces;     // bytes behind the axis, and in how many they are cut: tasks are (outer, index, piece)
};

int prepare(const gk_call* call, Gather* state, gk_prepared*) {
  if (!is_gather(call)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &indices = call->inputs[1], &y = call->outputs[0];
  const int axis = axis_attribute(call, 0, x.ndim);
  if (axis < 0 || y.ndim != x.ndim - 1 + indices.ndim) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < y.ndim; ++i) {
    const int64_t dim = i < axis                  ? x.shape[i]
                        : i < axis + indices.ndim ? indices.shape[i - axis]
                                                  : x.shape[i - indices.ndim + 1];
    if (y.shape[i] != dim) return GK_INVALID_ARGUMENT;
  }
  state->dim = x.shape[axis];
  state->count = element_count(indices);
  if (element_count(y) == 0) return GK_OK;
  state->outer = dims_product(x, 0, axis);
  state->block = dims_product(x, axis + 1, x.ndim) * element_bytes(x);
  state->pieces = state->block / kGrainBytes < 2 ? 1 : state->block / kGrainBytes;
  return GK_OK;
}

struct Work {
  const Gather* state;
  Indices indices;
  const char* from;
  char* to;
};

template <int kBytes, class Index>
void gather_single(const Work& work, int64_t begin, int64_t end) {
  const Gather& g = *work.state;
  const Index* indices = reinterpret_cast<const Index*>(work.indices.data());
  const int64_t dim = g.dim;
  for (int64_t task = begin, o = begin / g.count, i = begin % g.count; task < end; ++o, i = 0) {
    const char* from = work.from + o * dim * kBytes;
    char* to = work.to + o * g.count * kBytes;
    const int64_t stop = end - task < g.count - i ? i + end - task : g.count;
    task += stop - i;
    for (; i < stop; ++i) {
      const int64_t at = indices[i];
      copy_element<kBytes>(to + i * kBytes, from + (at < 0 ? at + dim : at) * kBytes);
    }
  }
}

template <int kBytes>
void gather_elements_of(const Work& work, int64_t begin, int64_t end) {
  if (work.indices.wide()) {
    gather_single<kBytes, int64_t>(work, begin, end);
  } else {
    gather_single<kBytes, int32_t>(work, begin, end);
  }
}

void gather_blocks(const Work& work, int64_t begin, int64_t end) {
  const Gather& g = *work.state;
  const int64_t piece = (g.block + g.pieces - 1) / g.pieces;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t slice = g.pieces == 1 ? task : task / g.pieces;
    const int64_t first = g.pieces == 1 ? 0 : task % g.pieces * piece, rest = g.block - first;
    const int64_t at = slice / g.count * g.dim + work.indices.at(slice % g.count, g.dim);
    copy_bytes(work.to + slice * g.block + first, work.from + at * g.block + first, rest < piece ? rest : piece);
  }
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  switch (work.state->block) {
    case 1: return gather_elements_of<1>(work, begin, end);
    case 2: return gather_elements_of<2>(work, begin, end);
    case 4: return gather_elements_of<4>(work, begin, end);
    case 8: return gather_elements_of<8>(work, begin, end);
    default: return gather_blocks(work, begin, end);
  }
}

int run(const gk_call* call, const Gather* state) {
  Work work = {state, Indices(call->inputs[1]), bytes_of(call->inputs[0]), bytes_of(call->outputs[0])};
  if (!work.indices.within(state->count, state->dim)) return GK_INVALID_ARGUMENT;
  if (element_count(call->outputs[0]) == 0) return GK_OK;
  const int64_t tasks = state->outer * state->count * state->pieces;
  return parallel_for(call, tasks, grain_of(state->block / state->pieces), body, &work);
}

}  // namespace

int gather(const gk_call* call) { return run_phase<Gather, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
