// tile: y[r0·d0 + i0, r1·d1 + i1, ..] = x[i0, i1, ..] for every repeat r of each axis.
//
// inputs   x: any dtype, any strides; repeats: int64 or int32, one for each axis
// outputs  y: x's dtype, dims of x times repeats, any strides
// bytes moved: size of y written, x read as often.
//
// A copy with two dims for each axis: its repeats, which do not move in x, and its own.
#include "cpu/lib/move/indices.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

int tile(const gk_call*);

namespace {

int prepare(const gk_call* call, StridedCopy* state, gk_prepared*) {
  if (!has_arity(call, 2, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &repeats = call->inputs[1], &y = call->outputs[0];
  if (!is_movable(x) || !is_index_tensor(repeats) || !is_movable(y) || !same_dtype(x, y) || x.ndim != y.ndim ||
      element_count(repeats) != x.ndim) {
    return GK_INVALID_ARGUMENT;
  }
  int64_t dims[kCopyRank], from[kCopyRank], to[kCopyRank];
  for (int i = 0; i < x.ndim; ++i) {
    // The dims of y say how often as well, and are there already.
    const int64_t dim = x.shape[i];
    if (dim == 0 ? y.shape[i] != 0 : y.shape[i] % dim != 0) return GK_INVALID_ARGUMENT;
    dims[2 * i] = dim == 0 ? 0 : y.shape[i] / dim;
    dims[2 * i + 1] = dim;
    from[2 * i] = 0;
    from[2 * i + 1] = stride_of(x, i);
    to[2 * i] = dim * stride_of(y, i);
    to[2 * i + 1] = stride_of(y, i);
  }
  *state = describe_copy(2 * x.ndim, dims, from, to, element_bytes(x));
  return GK_OK;
}

int run(const gk_call* call, const StridedCopy* state) {
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  const Indices repeats(call->inputs[1]);
  for (int i = 0; i < x.ndim; ++i) {
    int64_t dim;
    if (__builtin_mul_overflow(x.shape[i], repeats[i], &dim) || dim != y.shape[i]) return GK_INVALID_ARGUMENT;
  }
  return run_copy(call, *state, bytes_of(x), bytes_of(y));
}

}  // namespace

int tile(const gk_call* call) { return run_phase<StridedCopy, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
