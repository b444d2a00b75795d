#include "executor/call_list.h"

#include "executor/failure.h"

namespace graphopt {

ScheduledCall copy_call(const PlanData& plan, const Ref& from, const Ref& to) {
  if (plan.copy == nullptr) throw Failure(GK_UNKNOWN_KERNEL, "this build has no kernel 'copy'");
  ScheduledCall call;
  call.kernel = plan.copy;
  call.inputs = {from};
  call.outputs = {to};
  return call;
}

void replace_calls(std::vector<ScheduledCall>* calls, const std::vector<bool>& replaced,
                   std::vector<std::vector<ScheduledCall>>* instead) {
  std::vector<int> moved;
  std::vector<ScheduledCall> list;
  for (size_t at = 0; at < calls->size(); ++at) {
    moved.push_back(static_cast<int>(list.size()));
    if (!replaced[at]) {
      list.push_back(std::move((*calls)[at]));
      continue;
    }
    for (ScheduledCall& call : (*instead)[at]) list.push_back(std::move(call));
  }
  moved.push_back(static_cast<int>(list.size()));
  for (ScheduledCall& call : list) {
    if (call.kind != CallKind::kKernel) call.target = moved[static_cast<size_t>(call.target)];
  }
  *calls = std::move(list);
}

}  // namespace graphopt
