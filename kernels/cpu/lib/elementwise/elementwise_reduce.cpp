// A program as the source of the rows that a reduction adds up.
#include "cpu/lib/elementwise/elementwise_reduce.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

constexpr int64_t kRowFloats = 2048;  // elements of a block, at most

// Rows of a program's result. Short rows are evaluated several at a time and kept.
struct Evaluated : RowSource {
  Evaluator evaluator;
  const ElementwisePlan& plan;
  int64_t first = 0, rows = 0;  // rows in the buffer
  alignas(64) float buffer[kRowFloats];

  Evaluated(const ReducedTask& task, const ElementwisePlan& p)
      : RowSource{get, kMostColumns, false}, evaluator(task.elementwise, p), plan(p) {
    if (plan.block_rows == 0 && plan.block < most) most = plan.block;
  }
  static const float* get(RowSource* self, int64_t offset, int64_t col, int64_t n) {
    return static_cast<Evaluated*>(self)->get(offset, col, n);
  }
  const float* get(int64_t row, int64_t col, int64_t n) {
    char* const dst[] = {reinterpret_cast<char*>(buffer)};
    if (plan.block_rows == 0) {
      evaluator.evaluate_at(row, 1, col, n, dst);
      return buffer;
    }
    const int64_t width = plan.walk.dims[plan.walk.rank - 1];
    if (row < first || row >= first + rows) {
      first = row;
      rows = plan.row_count - row < plan.block_rows ? plan.row_count - row : plan.block_rows;
      evaluator.evaluate_at(first, rows, 0, rows * width, dst);
    }
    return buffer + (row - first) * width + col;
  }
};

// The plan's dims, and rows counted where a reduction of memory has offsets.
void plan_of(const ReducedTask& task, const ElementwisePlan& plan, const uint8_t* reduced, ReducePlan* reduce) {
  *reduce = {};
  reduce->kind = task.kind;
  reduce->rank = plan.walk.rank;
  reduce->outputs = reduce->per_output = 1;
  const int inner = plan.walk.rank - 1;
  int64_t rows = 1;
  for (int d = inner; d >= 0; --d) {
    reduce->dims[d] = plan.walk.dims[d];
    reduce->reduced[d] = reduced[d];
    reduce->strides[d] = d == inner ? 0 : rows;
    if (d != inner) rows *= plan.walk.dims[d];
    (reduced[d] != 0 ? reduce->per_output : reduce->outputs) *= plan.walk.dims[d];
  }
}

struct Loop {
  const ReducedTask& task;
  const ElementwisePlan& plan;
  const ReducePlan& reduce;
  float* y;
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  Evaluated source(loop.task, loop.plan);
  reduce_tasks(&source, loop.reduce, loop.y, begin, end);
}

}  // namespace

int describe_reduced(const gk_call* call, ReducedTask* task) {
  ElementwiseTask& elementwise = task->elementwise;
  if (elementwise.output_count != 1) return GK_INVALID_ARGUMENT;
  task->kind = reduce_kind(string_attribute(call, "reduce", ""));
  if (task->kind == kReduceKinds) return GK_INVALID_ARGUMENT;
  if (!is_f32(*elementwise.outputs[0])) return GK_UNSUPPORTED;
  int rank = 0;
  for (int i = 0; i < elementwise.input_count; ++i) {
    const gk_tensor& input = *elementwise.inputs[i];
    if (input.ndim < 0 || (input.ndim > 0 && input.shape == nullptr)) return GK_INVALID_ARGUMENT;
    if (input.ndim > kMaxDims) return GK_UNSUPPORTED;
    rank = input.ndim > rank ? input.ndim : rank;
  }
  for (int d = 0; d < rank; ++d) task->dims[d] = 1;
  for (int i = 0; i < elementwise.input_count; ++i) {
    const gk_tensor& input = *elementwise.inputs[i];
    for (int d = 0; d < input.ndim; ++d) {
      int64_t& dim = task->dims[d + rank - input.ndim];
      if (dim == 1) dim = input.shape[d];
    }
  }
  const Ints axes = ints_attribute(call, "axes");
  uint32_t mask = axes.length == 0 ? (1u << rank) - 1 : 0;
  for (int k = 0; k < axes.length; ++k) {
    const int64_t axis = axes.data[k] < 0 ? axes.data[k] + rank : axes.data[k];
    if (axis < 0 || axis >= rank) return GK_INVALID_ARGUMENT;
    mask |= 1u << axis;
  }
  if (!is_reduced_shape(task->dims, rank, mask, *elementwise.outputs[0])) return GK_INVALID_ARGUMENT;
  for (int d = 0; d < rank; ++d) task->reduced[d] = (mask >> d & 1) != 0 ? 1 : 0;
  elementwise.dims = task->dims;
  elementwise.reduced = task->reduced;
  elementwise.rank = rank;
  return GK_OK;
}

int prepare_reduced(const ReducedTask& task, ElementwisePlan* plan) {
  uint8_t reduced[kMaxDims];
  return prepare_elementwise(task.elementwise, plan, reduced);
}

int run_reduced(const gk_call* call, const ReducedTask& task, const ElementwisePlan&) {
  // The plan is made again: which of its dims go does not fit into the state.
  ElementwisePlan plan;
  uint8_t reduced[kMaxDims] = {};
  const int status = prepare_elementwise(task.elementwise, &plan, reduced);
  if (status != GK_OK) return status;
  ReducePlan reduce;
  const gk_tensor& y = *task.elementwise.outputs[0];
  if (y.data == nullptr && element_count(y) != 0) return GK_INVALID_ARGUMENT;
  if (plan.total == 0) {  // nothing to evaluate: the result is that of a sum over nothing
    int64_t strides[kMaxDims] = {};
    uint32_t mask = 0;
    for (int d = 0; d < task.elementwise.rank; ++d) mask |= static_cast<uint32_t>(task.reduced[d]) << d;
    plan_reduction(task.dims, strides, task.elementwise.rank, mask, task.kind, &reduce);
    return reduce_f32(call, reduce, nullptr, data_of<float>(*task.elementwise.outputs[0]));
  }
  for (int i = 0; i < task.elementwise.input_count; ++i) {
    if (task.elementwise.inputs[i]->data == nullptr) return GK_INVALID_ARGUMENT;
  }
  plan_of(task, plan, reduced, &reduce);
  Loop loop = {task, plan, reduce, data_of<float>(*task.elementwise.outputs[0])};
  const int64_t most = plan.block_rows == 0 && plan.block < kMostColumns ? plan.block : kMostColumns;
  const int64_t tasks = reduce_task_count(reduce, most);
  if (tasks == 0) return GK_OK;
  const int64_t blocks = plan.total / tasks / plan.block + 1;
  return parallel_for(call, tasks, plan.grain / blocks + 1, body, &loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
