// elementwise: a program over broadcast inputs, all of it in one pass over memory.
//
// inputs   up to 12, any dtypes and strides, broadcasting to the outputs (numpy's rules)
// outputs  up to 4, all of the broadcast shape, any strides; output 0 may lie in an input that is as large
// attributes  program, constants: see cpu/lib/elementwise/program.h; results: the register of each output
//          reduce, axes, keepdims: the one float32 result is reduced at once (kinds: see reduce.cpp), only what is left
//          of it is written
// bytes moved: every input once, every output once.
#include "cpu/lib/elementwise/elementwise_reduce.h"

namespace graphopt {
namespace GK_LEVEL {

int elementwise(const gk_call*);

namespace {

int task_of(const gk_call* call, ElementwiseTask* task) {
  if (!has_arity(call, call->input_count, call->output_count)) return GK_INVALID_ARGUMENT;
  if (call->input_count < 0 || call->output_count < 1) return GK_INVALID_ARGUMENT;
  if (call->input_count > program::kMaxInputs || call->output_count > program::kMaxOutputs) return GK_UNSUPPORTED;
  task->input_count = call->input_count;
  task->output_count = call->output_count;
  for (int i = 0; i < call->input_count; ++i) task->inputs[i] = &call->inputs[i];
  for (int o = 0; o < call->output_count; ++o) task->outputs[o] = &call->outputs[o];
  task->program = ints_attribute(call, "program");
  task->constants = floats_attribute(call, "constants");
  const Ints results = ints_attribute(call, "results");
  if (results.length != call->output_count) return GK_INVALID_ARGUMENT;
  for (int o = 0; o < results.length; ++o) task->results[o] = results.data[o];
  return GK_OK;
}

bool reduces(const gk_call* call) { return find_attribute(call, "reduce", GK_ATTRIBUTE_STRING) != nullptr; }

int prepare(const gk_call* call, ElementwisePlan* plan, gk_prepared*) {
  ReducedTask task;
  int status = task_of(call, &task.elementwise);
  if (status != GK_OK) return status;
  if (!reduces(call)) return prepare_elementwise(task.elementwise, plan);
  status = describe_reduced(call, &task);
  return status != GK_OK ? status : prepare_reduced(task, plan);
}

int run(const gk_call* call, const ElementwisePlan* plan) {
  ReducedTask task;
  int status = task_of(call, &task.elementwise);
  if (status != GK_OK) return status;
  if (!reduces(call)) return run_elementwise(call, task.elementwise, *plan);
  status = describe_reduced(call, &task);
  return status != GK_OK ? status : run_reduced(call, task, *plan);
}

}  // namespace

int elementwise(const gk_call* call) { return run_phase<ElementwisePlan, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
