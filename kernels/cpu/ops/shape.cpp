// shape: y = the dims of x from `start` up to `end`.
//
// inputs   x: any dtype and strides; its data is not read
// outputs  y: int64, one dim, row-major and compact
// attributes  start (default 0), end (default: x's rank); negative ones count from the end
// bytes moved: size of y written.
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int shape(const gk_call*);

namespace {

struct Range {
  int32_t start, count;
};

int64_t clamped(int64_t axis, int64_t rank) {
  if (axis < 0) axis += rank;
  return axis < 0 ? 0 : axis > rank ? rank : axis;
}

int prepare(const gk_call* call, Range* range, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (x.ndim < 0 || (x.ndim > 0 && x.shape == nullptr)) return GK_INVALID_ARGUMENT;
  if (!is_movable_block(y) || !is_dtype(y, GK_INT, 64) || y.ndim != 1) return GK_INVALID_ARGUMENT;
  const int64_t start = clamped(int_attribute(call, "start", 0), x.ndim);
  const int64_t end = clamped(int_attribute(call, "end", x.ndim), x.ndim);
  range->start = static_cast<int32_t>(start);
  range->count = static_cast<int32_t>(end > start ? end - start : 0);
  return y.shape[0] == range->count ? GK_OK : GK_INVALID_ARGUMENT;
}

int run(const gk_call* call, const Range* range) {
  for (int i = 0; i < range->count; ++i) {
    data_of<int64_t>(call->outputs[0])[i] = call->inputs[0].shape[range->start + i];
  }
  return GK_OK;
}

}  // namespace

int shape(const gk_call* call) { return run_phase<Range, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
