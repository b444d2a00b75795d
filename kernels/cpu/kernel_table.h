// The kernels of one level, in the order of kernels.def.
#pragma once

#include "graphopt/graphopt.h"

namespace graphopt {

enum KernelIndex : int {
#define GK_KERNEL(op) kKernel_##op,
#include "kernels.def"
#undef GK_KERNEL
  kKernelCount
};

struct KernelTable {
  gk_kernel kernels[kKernelCount];
};

}  // namespace graphopt
