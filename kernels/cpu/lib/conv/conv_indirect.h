// Convolution as an indirect matrix product: every output pixel is a row of A, every kernel position a tap, and a
// table of pointers says where the tap of a pixel lies in X, padding in a row of zeros.
//
//   y[pixel][m] = epilogue(bias[m] + Σ_tap Σ_c x[at(pixel, tap)][c] · w[m][c][tap])
//
// No copy of X is made: bytes moved are X, W and Y once, plus 8 bytes a tap and pixel for the table, which stays in
// the first-level cache. Where no padding is to the left or right and the kernel is not dilated along a line, the
// positions of one kernel line are neighbours in X: they are one tap of kernel width × channels floats.
// W is packed as gemm_f32.h says, rows in the order depth, height, width, channel of the kernel, per group.
#pragma once

#include "cpu/lib/conv/conv_shape.h"
#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

struct IndirectPlan {
  int64_t run;                  // taps merged along a line: 1 or kernel[2]
  int64_t block_rows;           // output pixels and filters (of a group) that one task computes
  int64_t block_cols;
};

void prepare_indirect(const gk_call* call, const ConvShape& shape, IndirectPlan* plan);

int64_t indirect_packed_bytes(const ConvShape& shape);
void pack_indirect(const ConvShape& shape, const float* weights, float* packed);

int64_t indirect_workspace_bytes(const gk_call* call, const ConvShape& shape, const IndirectPlan& plan);

// One parallel region. The epilogue sees Y as [outer, rows, filters]; one that is not tiled is left to the caller.
int run_indirect(const gk_call* call, const ConvShape& shape, const IndirectPlan& plan, const float* packed,
                 const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace);

}  // namespace GK_LEVEL
}  // namespace graphopt
