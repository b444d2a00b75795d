// scatter_nd: y = x, then y[indices[i.., :].., s..] = f(y[..], updates[i.., s..]) in row-major order of the updates.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32 tuples in the last dim, negative ones count from the
//          end; updates: x's dtype; all row-major and compact
// outputs  y: x's dtype and dims, row-major and compact; may be x itself
// attributes  reduction: f = the update (none), add, mul, max or min
// bytes moved: size of x read and written, updates read, as many elements of y read and written.
//
// Two tuples may name one slice, so threads share the elements of a slice and each walks all tuples in their order.
#include "cpu/lib/scatter_apply.h"
#include "cpu/lib/strided_copy.h"
#include "cpu/lib/tuples.h"

namespace graphopt {
namespace GK_LEVEL {

int scatter_nd(const gk_call*);

namespace {

int prepare(const gk_call* call, Tuples* tuples, gk_prepared*) {
  if (!has_arity(call, 3, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &indices = call->inputs[1], &updates = call->inputs[2], &y = call->outputs[0];
  if (!is_movable_block(x) || !is_index_tensor(indices) || !is_movable_block(updates) || !is_movable_block(y) ||
      !same_dtype(x, y) || !same_dims(x, y) || !same_dtype(x, updates)) {
    return GK_INVALID_ARGUMENT;
  }
  if (!describe_tuples(x, indices, updates, 0, tuples)) return GK_INVALID_ARGUMENT;
  return scatter_apply(x.dtype, string_attribute(call, "reduction", "none")) == nullptr ? GK_UNSUPPORTED : GK_OK;
}

struct Work {
  const Tuples* tuples;
  Indices indices;
  ScatterApply apply;
  const char* updates;
  char* to;
  int64_t element;
};

// Elements [begin, end) of every slice.
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  const Tuples& tuples = *work.tuples;
  for (int64_t t = 0; t < tuples.per_batch; ++t) {
    const int64_t to = tuples.at(work.indices, t) * tuples.slice + begin, from = t * tuples.slice + begin;
    work.apply(work.to + to * work.element, work.updates + from * work.element, end - begin);
  }
}

int run(const gk_call* call, const Tuples* tuples) {
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  Work work = {tuples,
               Indices(call->inputs[1]),
               scatter_apply(x.dtype, string_attribute(call, "reduction", "none")),
               bytes_of(call->inputs[2]),
               bytes_of(y),
               element_bytes(x)};
  if (!tuples->within(work.indices)) return GK_INVALID_ARGUMENT;
  if (bytes_of(x) != bytes_of(y)) {
    const int status = copy_block(call, bytes_of(x), bytes_of(y), element_count(x) * element_bytes(x));
    if (status != GK_OK) return status;
  }
  if (element_count(call->inputs[2]) == 0) return GK_OK;
  return parallel_for(call, tuples->slice, grain_of(tuples->per_batch * work.element), body, &work);
}

}  // namespace

int scatter_nd(const gk_call* call) { return run_phase<Tuples, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
