// space_to_depth: y[n, (i·b + j)·C + c, h, w] = x[n, c, h·b + i, w·b + j].
//
// inputs   x: any dtype, [N, C, H·b, W·b], any strides
// outputs  y: x's dtype, [N, C·b², H, W], any strides
// attributes  blocksize: b; channels_last (default 0): x [N, H·b, W·b, C], y [N, H, W, C·b²]
// bytes moved: size of y, read and written.
#include "cpu/lib/move/blocks_to_depth.h"

namespace graphopt {
namespace GK_LEVEL {

int space_to_depth(const gk_call*);

namespace {

int prepare(const gk_call* call, StridedCopy* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const bool fits = describe_blocks(call, call->outputs[0], call->inputs[0], false, false, state);
  return fits ? GK_OK : GK_INVALID_ARGUMENT;
}

int run(const gk_call* call, const StridedCopy* state) {
  return run_copy(call, *state, bytes_of(call->inputs[0]), bytes_of(call->outputs[0]));
}

}  // namespace

int space_to_depth(const gk_call* call) { return run_phase<StridedCopy, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
