// What the scatter operators do with an element that is there and its update.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// y[i] = f(y[i], x[i]) for i < count.
using ScatterApply = void (*)(char* y, const char* x, int64_t count);

// By the attribute `reduction`: none, add, mul, max or min. Null where there is no such one for the dtype. NaN wins
// against every number; floats of 16 bits are computed in float32 and rounded; bool knows or and and.
ScatterApply scatter_apply(gk_dtype dtype, const char* reduction);

}  // namespace GK_LEVEL
}  // namespace graphopt
