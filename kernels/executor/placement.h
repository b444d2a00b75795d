// Where everything of a schedule lies: results in the caller's outputs where they can be, results over inputs
// that nobody reads any more, the rest in the arena.
#pragma once

#include "executor/schedule.h"

namespace graphopt {

// Before the calls are prepared: drops calls nobody needs, chooses outputs and shared memory.
void choose_memory(const PlanData& plan, Schedule* schedule);

// After they are prepared, when the sizes of their workspaces are known: lifetimes and the arena.
void place(Schedule* schedule);

}  // namespace graphopt
