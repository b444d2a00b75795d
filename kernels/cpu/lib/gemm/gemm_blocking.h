// Block sizes of matrix products, in one place. A tile record overrides them: [depth, rows].
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_VECTOR_LEVEL {  // kernels with dot products, which have levels of their own, use it too

// Results that wait for their epilogue: 32 KiB, still in the second-level cache and mostly in the first.
constexpr int64_t kGemmEpilogueFloats = 8 * 1024;

// Most rows of a block: their pointers lie on the stack.
constexpr int64_t kGemmMostRows = 512;

// Most steps of k in one pass.
int64_t gemm_depth_limit(const gk_call* call);

// Rows that a block of that depth and width should have: a multiple of kGemmRows (gemm_f32.h), at most kGemmMostRows.
int64_t gemm_block_rows(const gk_call* call, int64_t k, int64_t n);

// to[p · ld + q] = from[p · p_stride + q · q_stride] for p < rows, q < cols.
void copy_matrix(const float* from, int64_t p_stride, int64_t q_stride, int64_t rows, int64_t cols, float* to,
                 int64_t ld);

}  // namespace GK_VECTOR_LEVEL
}  // namespace graphopt
