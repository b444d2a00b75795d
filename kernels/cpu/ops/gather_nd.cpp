// gather_nd: y[b.., i.., s..] = x[b.., indices[b.., i.., :].., s..]: slices of x named by index tuples.
//
// inputs   x: any dtype of whole bytes; indices: int64 or int32 tuples in the last dim, negative ones count from the
//          end; both row-major and compact
// outputs  y: x's dtype, row-major and compact
// attributes  batch_dims (default 0): leading dims that x and indices share
// bytes moved: size of y, read and written, and the indices twice: all are checked before anything is read.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/tuples.h"

namespace graphopt {
namespace GK_LEVEL {

int gather_nd(const gk_call*);

namespace {

int prepare(const gk_call* call, Tuples* tuples, gk_prepared*) {
  if (!is_gather(call)) return GK_INVALID_ARGUMENT;
  const int64_t batch = int_attribute(call, "batch_dims", 0);
  const bool fits = describe_tuples(call->inputs[0], call->inputs[1], call->outputs[0], batch, tuples);
  return fits ? GK_OK : GK_INVALID_ARGUMENT;
}

struct Work {
  const Tuples* tuples;
  Indices indices;
  const char* from;
  char* to;
  int64_t bytes; // of a slice
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  for (int64_t t = begin; t < end; ++t) {
    const int64_t at = work.tuples->at(work.indices, t);
    copy_bytes(work.to + t * work.bytes, work.from + at * work.bytes, work.bytes);
  }
}

int run(const gk_call* call, const Tuples* tuples) {
  const gk_tensor& y = call->outputs[0];
  const int64_t bytes = tuples->slice * element_bytes(y);
  Work work = {tuples, Indices(call->inputs[1]), bytes_of(call->inputs[0]), bytes_of(y), bytes};
  if (!tuples->within(work.indices)) return GK_INVALID_ARGUMENT;
  if (element_count(y) == 0) return GK_OK;
  return parallel_for(call, tuples->batches * tuples->per_batch, grain_of(bytes), body, &work);
}

}  // namespace

int gather_nd(const gk_call* call) { return run_phase<Tuples, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
