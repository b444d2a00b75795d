// Depthwise convolution: every output channel reads one input channel.
//
//   y[n, o, c·multiplier + j] = bias + Σ_tap x[n, o·stride + tap·dilation − pad, c] · w[c·multiplier + j, tap]
//
// X [N, D, H, W, C] and Y [N, D, H, W, M] float32, channels last, pixels at one distance; shorter convolutions have leading spatial
// axes of one. Weights as in ONNX, [M, 1, kernel…], are packed to [M / lanes][tap][lanes] with a row of zeros, which
// is what padding reads. Bytes moved: X and Y once, as long as a kernel's rows of X stay in the second cache.
#pragma once

#include "cpu/call.h"
#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

struct DepthwiseShape {
  int64_t batch, channels, multiplier;   // M = channels * multiplier
  int64_t in[3], out[3], kernel[3];      // depth, height, width
  int64_t stride[3], dilation[3], pad[3]; // pad: before the first element; may be negative
  int64_t x_step, y_step;                 // floats from one pixel to the next; 0: as many as channels
};

// What PREPARE finds out; part of the state of the kernel that calls this. Its fields are private to conv_depthwise.
struct DepthwisePlan {
  DepthwiseShape shape;
  int64_t taps;
  int64_t segment;   // output pixels of a row that one task computes
  int64_t row_tile;  // output rows that one task computes
};

// The shape must be consistent (sizes positive, `out` what the other fields say) and M * taps fit memory.
void prepare_depthwise(const DepthwiseShape& shape, DepthwisePlan* plan);

// Bytes of the packed weights; they depend on the weights' shape alone. Needs an alignment of 64 to be fast.
int64_t depthwise_packed_bytes(const DepthwisePlan& plan);

void pack_depthwise(const DepthwisePlan& plan, const float* weights, float* packed);

// One parallel region. `bias` [M] may be null. `epilogue` sees Y as [batch, D·H·W, M]; a whole-output epilogue is
// the caller's. Needs no workspace besides the packed weights. y may not overlap x.
int run_depthwise(const gk_call* call, const DepthwisePlan& plan, const float* x, const float* packed,
                  const float* bias, const Epilogue& epilogue, float* y);

}  // namespace GK_LEVEL
}  // namespace graphopt
