// Computing while shapes are resolved: steps whose inputs are all known.
#pragma once

#include "executor/schedule.h"

namespace graphopt {

// More is not computed ahead: it would stay in memory for each set of shapes.
constexpr int64_t kMostFoldedBytes = 1 << 20;

// Runs one kernel with a workspace from `allocator`; throws Failure naming the step.
void run_once(const ScheduledCall& call, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
              const gk_allocator* allocator);

// Elements of a tensor with strides, row-major.
void copy_strided(const char* from, const Dims& dims, const Dims& strides, int64_t element, char* to);

}  // namespace graphopt
