// reduce: y = kind over axes of x. kind: sum, mean, max, min, prod, l1, l2, log_sum, log_sum_exp, sum_square.
//
// inputs   x: any dtype and strides; axes: optional, int64 or int32, known when the step is prepared
// outputs  y: the dtype of x, without the axes or with ones in their place, compact
// attributes  kind, axes (none: all), noop_with_empty_axes
// bytes moved: x once (log_sum_exp twice), y once. Over nothing: 0, 1 for prod, the ends of the dtype for max and
// min, NaN for mean.
#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/reduce/reduce.h"

namespace graphopt {
namespace GK_LEVEL {

int reduce(const gk_call*);

namespace {

int prepare(const gk_call* call, ReducePlan* plan, gk_prepared*) {
  if ((!has_arity(call, 1, 1) && !has_arity(call, 2, 1)) || !has_input(call, 0)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  const ReduceKind kind = reduce_kind(string_attribute(call, "kind", ""));
  if (kind == kReduceKinds) return GK_INVALID_ARGUMENT;
  if (x.ndim > kMaxDims || program::type_of(x.dtype) == program::kNoType) return GK_UNSUPPORTED;
  if (y.dtype.code != x.dtype.code || y.dtype.bits != x.dtype.bits) return GK_INVALID_ARGUMENT;
  uint32_t mask = 0;
  const int status = reduced_axes(call, x.ndim, &mask);
  if (status != GK_OK) return status;
  if (!is_reduced_shape(x.shape, x.ndim, mask, y)) return GK_INVALID_ARGUMENT;
  int64_t strides[kMaxDims];
  for (int d = 0; d < x.ndim; ++d) strides[d] = stride_of(x, d);
  plan_reduction(x.shape, strides, x.ndim, mask, kind, plan);
  return GK_OK;
}

int run(const gk_call* call, const ReducePlan* plan) {
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (plan->outputs == 0) return GK_OK;
  if (y.data == nullptr || (x.data == nullptr && plan->per_output != 0)) return GK_INVALID_ARGUMENT;
  if (is_f32(x)) return reduce_f32(call, *plan, data_of<const float>(x), data_of<float>(y));
  return reduce_widened(call, *plan, x, y);
}

}  // namespace

int reduce(const gk_call* call) { return run_phase<ReducePlan, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
