// copy: y = x, each with its own strides.
//
// inputs   x: any dtype of whole bytes, any strides (0 and negative ones too)
// outputs  y: the same dtype and dims, any strides that do not meet
// bytes moved: size read + size written.
#include "cpu/lib/move/move.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

int copy(const gk_call*);

namespace {

int prepare(const gk_call* call, StridedCopy* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_movable(x) || !is_movable(y) || !same_dtype(x, y) || !same_dims(x, y)) return GK_INVALID_ARGUMENT;
  int64_t from[kMoveRank], to[kMoveRank];
  for (int i = 0; i < x.ndim; ++i) {
    from[i] = stride_of(x, i);
    to[i] = stride_of(y, i);
  }
  *state = describe_copy(x.ndim, x.shape, from, to, element_bytes(x));
  return GK_OK;
}

int run(const gk_call* call, const StridedCopy* state) {
  return run_copy(call, *state, bytes_of(call->inputs[0]), bytes_of(call->outputs[0]));
}

}  // namespace

int copy(const gk_call* call) { return run_phase<StridedCopy, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
