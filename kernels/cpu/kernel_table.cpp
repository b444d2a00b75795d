// The table of this level's kernels. Compiled once per level; see isa_levels.cmake.
#include "kernel_table.h"

namespace graphopt {
namespace GK_LEVEL {

#define GK_KERNEL(op) int op(const gk_call*);
#include "kernels.def"
#undef GK_KERNEL

extern const KernelTable table;
const KernelTable table = {{
#define GK_KERNEL(op) op,
#include "kernels.def"
#undef GK_KERNEL
}};

}  // namespace GK_LEVEL
}  // namespace graphopt
