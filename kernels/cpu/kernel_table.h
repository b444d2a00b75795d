// The kernels of one level, in the order of kernels.def, which CMake writes: GK_KERNEL(level, op) for each
// source file, where level says which compilation of it a level uses (see isa_levels.cmake).
#pragma once

#include "graphopt/graphopt.h"

namespace graphopt {

enum KernelIndex : int {
#define GK_KERNEL(level, op) kKernel_##op,
#include "kernels.def"
#undef GK_KERNEL
  kKernelCount
};

struct KernelTable {
  gk_kernel kernels[kKernelCount];
};

}  // namespace graphopt
