// From a plan and the types of its inputs to a schedule that is not placed yet: every step's result types,
// views instead of copies, and everything that is known by now computed.
#pragma once

#include "executor/schedule.h"

namespace graphopt {

// `contents[i]` of an input whose contents decide shapes points at them, row-major; null elsewhere.
// Throws Failure.
void resolve(const PlanData& plan, const std::vector<TensorType>& inputs, const std::vector<const void*>& contents,
             Schedule* schedule);

}  // namespace graphopt
