// Changing the list of calls of a schedule; jumps keep their aims.
#pragma once

#include "executor/schedule.h"

namespace graphopt {

// A copy of the executor's own; throws Failure where this build has no such kernel.
ScheduledCall copy_call(const PlanData& plan, const Ref& from, const Ref& to);

// Where replaced[i], call i gives way to (*instead)[i].
void replace_calls(std::vector<ScheduledCall>* calls, const std::vector<bool>& replaced,
                   std::vector<std::vector<ScheduledCall>>* instead);

}  // namespace graphopt
