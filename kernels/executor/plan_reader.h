// From the bytes of a plan file to PlanData. The bytes are untrusted: every count is checked against what is
// left of the file before memory is taken, every number against its range, and steps against the order in
// which values come to be.
#pragma once

#include <cstddef>

#include "executor/plan_data.h"

namespace graphopt {

struct PlanBytes {
  const char* data = nullptr;
  size_t size = 0;
  const char* weights = nullptr; // weights.bin, or null
  size_t weights_size = 0;
};

// `isa`: GK_ISA_BEST, or the level to run on. `allocator`: for constants that must be copied. Both it and `bytes` must
// outlive the result. Throws Failure.
void read_plan(const PlanBytes& bytes, int32_t isa, const gk_allocator* allocator, PlanData* plan);

}  // namespace graphopt
