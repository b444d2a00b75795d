// Block sizes of matrix products, in one place.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// Results that wait for their epilogue: 32 KiB, still in the second-level cache and mostly in the first.
constexpr int64_t kGemmEpilogueFloats = 8 * 1024;

// Longest range of k in one pass: a panel of B of that many rows takes half of the first-level cache.
int64_t gemm_depth_limit(const gk_call* call);

}  // namespace GK_LEVEL
}  // namespace graphopt
