// depth_to_space: y[n, c, h·b + i, w·b + j] = x[n, (i·b + j)·C + c, h, w] (mode DCR) or x[n, c·b² + i·b + j, h, w] (CRD).
//
// inputs   x: any dtype, [N, C·b², H, W], any strides
// outputs  y: x's dtype, [N, C, H·b, W·b], any strides
// attributes  blocksize: b; mode: DCR (default) or CRD; channels_last (default 0): x [N, H, W, C·b²], y [N, H·b, W·b, C]
// bytes moved: size of y, read and written.
#include "cpu/lib/move/blocks_to_depth.h"

namespace graphopt {
namespace GK_LEVEL {

int depth_to_space(const gk_call*);

namespace {

int prepare(const gk_call* call, StridedCopy* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const char* mode = string_attribute(call, "mode", "DCR");
  const bool channel_first = same_text(mode, "CRD");
  if (!channel_first && !same_text(mode, "DCR")) return GK_INVALID_ARGUMENT;
  const bool fits = describe_blocks(call, call->inputs[0], call->outputs[0], channel_first, true, state);
  return fits ? GK_OK : GK_INVALID_ARGUMENT;
}

int run(const gk_call* call, const StridedCopy* state) {
  return run_copy(call, *state, bytes_of(call->inputs[0]), bytes_of(call->outputs[0]));
}

}  // namespace

int depth_to_space(const gk_call* call) { return run_phase<StridedCopy, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
