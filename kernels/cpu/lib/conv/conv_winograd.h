// Winograd's F(2×2, 3×3): 3×3 convolutions of stride 1 with 16 multiplications where the definition has 36.
//
//   Y = Aᵀ [ Σ_c (G g Gᵀ) ∘ (Bᵀ d B) ] A     per 2×2 outputs, from 4×4 inputs d and the 3×3 weights g of a channel
//
// Inside the brackets, position by position of the 4×4, stands a matrix product: tiles by channels times channels by
// filters. A task transforms a block of tiles (V [16][tiles][channels]), multiplies filters_step columns at a time
// (into [16][tiles][filters_step]) and transforms back, all of which stays in the second-level cache.
// Rounding is a few times that of the direct form (F(4×4, 3×3) would save more and lose three digits).
// NaN goes where it does in the direct form; an infinity becomes NaN, because tiles subtract inputs from each other.
// Bytes moved: X four times from a near cache, Y once, W 16/9 times once per block of tiles.
#pragma once

#include "cpu/lib/conv/conv_shape.h"
#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

struct WinogradPlan {
  int64_t tile_rows, tile_cols;  // of one image
  int64_t block_tiles;           // tiles of one task
  int64_t block_cols;            // filters of one task
  int64_t filters_step;          // filters multiplied at a time
};

// Whether the shape can be computed this way at all, and whether that is faster than the direct form.
bool winograd_pays(const gk_call* call, const ConvShape& shape);

void prepare_winograd(const gk_call* call, const ConvShape& shape, WinogradPlan* plan);

int64_t winograd_packed_bytes(const ConvShape& shape);
void pack_winograd(const ConvShape& shape, const float* weights, float* packed);

int64_t winograd_workspace_bytes(const gk_call* call, const ConvShape& shape, const WinogradPlan& plan);

// One parallel region. The epilogue sees Y as [outer, rows, filters]; one that is not tiled is left to the caller.
int run_winograd(const gk_call* call, const ConvShape& shape, const WinogradPlan& plan, const float* packed,
                 const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace);

}  // namespace GK_LEVEL
}  // namespace graphopt
