// What reductions of every dtype share: axes, shapes, plans.
#include "cpu/lib/reduce/reduce.h"

namespace graphopt {
namespace GK_LEVEL {

ReduceKind reduce_kind(const char* name) {
  constexpr const char* kNames[] = {"sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"};
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == kReduceKinds);
  for (int k = 0; k < kReduceKinds; ++k) {
    if (same_text(name, kNames[k])) return static_cast<ReduceKind>(k);
  }
  return kReduceKinds;
}

int reduced_axes(const gk_call* call, int rank, uint32_t* mask) {
  *mask = 0;
  const auto add = [&](int64_t axis) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return false;
    *mask |= 1u << axis;
    return true;
  };
  int64_t count = 0;
  if (has_input(call, 1)) {
    const gk_tensor& axes = call->inputs[1];
    const bool wide = is_dtype(axes, GK_INT, 64);
    if ((!wide && !is_dtype(axes, GK_INT, 32)) || axes.ndim > 1 || !is_compact(axes)) return GK_INVALID_ARGUMENT;
    count = element_count(axes);
    if (count > 0 && axes.data == nullptr) return GK_UNSUPPORTED;
    for (int64_t i = 0; i < count; ++i) {
      if (!add(wide ? data_of<int64_t>(axes)[i] : data_of<int32_t>(axes)[i])) return GK_INVALID_ARGUMENT;
    }
  } else {
    const Ints axes = ints_attribute(call, "axes");
    count = axes.length;
    for (int i = 0; i < axes.length; ++i) {
      if (!add(axes.data[i])) return GK_INVALID_ARGUMENT;
    }
  }
  if (count == 0 && int_attribute(call, "noop_with_empty_axes", 0) == 0) *mask = (1u << rank) - 1;
  return GK_OK;
}

bool is_reduced_shape(const int64_t* dims, int rank, uint32_t mask, const gk_tensor& output) {
  if (output.ndim < 0 || !is_compact(output)) return false;
  int at = 0;
  const bool keep = output.ndim == rank;
  for (int d = 0; d < rank; ++d) {
    const bool gone = (mask >> d & 1) != 0;
    if (gone && !keep) continue;
    if (at >= output.ndim || output.shape[at++] != (gone ? 1 : dims[d])) return false;
  }
  return at == output.ndim;
}

void plan_reduction(const int64_t* dims, const int64_t* strides, int rank, uint32_t mask, ReduceKind kind,
                    ReducePlan* plan) {
  *plan = {};
  plan->kind = kind;
  Walk walk = {rank, 1, {}};
  plan->outputs = plan->per_output = 1;
  for (int d = 0; d < rank; ++d) {
    const bool gone = (mask >> d & 1) != 0;
    walk.dims[d] = dims[d];
    plan->reduced[d] = gone ? 1 : 0;
    plan->strides[d] = dims[d] == 1 ? 0 : strides[d];
    (gone ? plan->per_output : plan->outputs) *= dims[d];
  }
  collapse(&walk, plan->strides, plan->reduced);
  plan->rank = walk.rank;
  for (int d = 0; d < walk.rank; ++d) plan->dims[d] = walk.dims[d];
}

}  // namespace GK_LEVEL
}  // namespace graphopt
