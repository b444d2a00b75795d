// Concatenations that nobody has to copy.
#pragma once

#include "executor/schedule.h"

namespace graphopt {

// Where the kernel that makes an input of a concat can write with gaps, and everybody who reads it can read so, the
// input is made where the concat puts it. What remains of the concat are copies of the other inputs.
void concatenate_in_place(const PlanData& plan, Schedule* schedule);

}  // namespace graphopt
