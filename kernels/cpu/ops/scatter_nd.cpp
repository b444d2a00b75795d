// scatter_nd: y = x, then y[indices[i.., :].., s..] = f(y[..], updates[i.., s..]) in row-major order of the updates.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32 tuples in the last dim, negative ones count from the
//          end; updates: x's dtype; all row-major and compact
// outputs  y: x's dtype and dims, row-major and compact; may be x itself
// attributes  reduction: f = the update (none), add, mul, max or min
// bytes moved: size of x read and written, updates read, as many elements of y read and written.
//
// Two tuples may name one slice, so threads share the elements of a slice and each walks all tuples in their order.
#include "cpu/lib/move/scatter.h"
#include "cpu/lib/move/tuples.h"

namespace graphopt {
namespace GK_LEVEL {

int scatter_nd(const gk_call*);

namespace {

int prepare(const gk_call* call, Tuples* tuples, gk_prepared*) {
  const int status = check_scatter(call);
  if (status != GK_OK) return status;
  const bool fits = describe_tuples(call->inputs[0], call->inputs[1], call->inputs[2], 0, tuples);
  return fits ? GK_OK : GK_INVALID_ARGUMENT;
}

// Elements [begin, end) of every slice.
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const auto& work = *static_cast<const ScatterWork<Tuples>*>(context);
  const Tuples& tuples = *work.where;
  for (int64_t t = 0; t < tuples.per_batch; ++t) {
    const int64_t to = tuples.at(work.indices, t) * tuples.slice + begin, from = t * tuples.slice + begin;
    work.apply(work.to + to * work.element, work.updates + from * work.element, end - begin);
  }
}

int run(const gk_call* call, const Tuples* tuples) {
  ScatterWork<Tuples> work(call, tuples);
  if (!tuples->within(work.indices)) return GK_INVALID_ARGUMENT;
  const int status = begin_scatter(call);
  if (status != GK_OK || element_count(call->inputs[2]) == 0) return status;
  return parallel_for(call, tuples->slice, grain_of(tuples->per_batch * work.element), body, &work);
}

}  // namespace

int scatter_nd(const gk_call* call) { return run_phase<Tuples, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
