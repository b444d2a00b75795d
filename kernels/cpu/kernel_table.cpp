// The table of this level's kernels. Compiled once per level; see isa_levels.cmake.
#include "kernel_table.h"

namespace graphopt {

#define GK_KERNEL(level, op) \
  namespace level {          \
  int op(const gk_call*);    \
  }
#include "kernels.def"
#undef GK_KERNEL

namespace GK_LEVEL {

extern const KernelTable table;
const KernelTable table = {{
#define GK_KERNEL(level, op) level::op,
#include "kernels.def"
#undef GK_KERNEL
}};

}  // namespace GK_LEVEL
}  // namespace graphopt
