// The levels that kernels are built for and the choice among them. Baseline code only.
#pragma once

#include "kernel_table.h"

namespace graphopt {

// The kernels of a level that this machine runs (GK_ISA_BEST: of the best one), or null.
const KernelTable* supported_table(int32_t isa);

}  // namespace graphopt
