// Elementwise programs whose one float32 result is reduced at once: nothing of the full shape is written.
#pragma once

#include "cpu/lib/elementwise/elementwise.h"
#include "cpu/lib/reduce/reduce.h"

namespace graphopt {
namespace GK_LEVEL {

// Inputs broadcast to `dims`; the result without the axes of `mask` (or with ones in their place) is output 0.
struct ReducedTask {
  ElementwiseTask elementwise;
  ReduceKind kind;
  int64_t dims[kMaxDims];
  uint8_t reduced[kMaxDims];
};

// Completes task.elementwise, whose inputs and program are set, by dims and axes. attributes: reduce (kind), axes
// (none: all). Checks the shape of output 0.
int describe_reduced(const gk_call* call, ReducedTask* task);

int prepare_reduced(const ReducedTask& task, ElementwisePlan* plan);
int run_reduced(const gk_call* call, const ReducedTask& task, const ElementwisePlan& plan);

}  // namespace GK_LEVEL
}  // namespace graphopt
