// The register tile of gemm_f32.h: R rows by P panels of V vectors each, over one range of k.
#pragma once

#include "cpu/lib/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {

typedef float VecF32Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));



struct GemmTile {
  const float* const* rows;  // row pointers of the first tap
  int64_t tap_step, taps;
  int64_t k, k_first;        // of each tap, the floats [k_first, k_first + k)
  const float* b;            // the panel's row for the first of these
  int64_t panel_step;        // to the same row of the next panel
  float* c;
  int64_t ldc;
  int64_t cols;              // columns to write; fewer than the tile's where the matrix ends
  bool first, last;          // range of k: the first one overwrites c, the last one finishes the results
  // B that is read later, fetched into the second-level cache meanwhile: `ahead_lines` cache lines of each panel
  // every kGemmUnroll steps of k, from `ahead` to its end, then from `ahead_then` to its end.
  const char *ahead, *ahead_end, *ahead_then, *ahead_then_end;
  int64_t ahead_lines;
  bool fetch_results;        // the sums take long enough for the lines of c to arrive meanwhile
  // For the last range, with the pointers at the tile's first row and column.
  float alpha, addend_scale, low, high;
  bool clamp;
  const float *bias, *addend;
  int64_t addend_rows, addend_cols;
};

typedef void (*GemmTileFunction)(const GemmTile&);

// How many panels one tile of so many rows takes: few rows take several, to have enough sums in flight.
constexpr int gemm_tile_panels(int rows) {
  return kVectorRegisters == 32 ? (rows <= 2 ? 4 : rows <= 6 ? 2 : 1) : (rows == 1 ? 4 : rows <= 3 && kVectorBytes > 16 ? 2 : 1);
}

// [rows - 1]: whole panels, gemm_tile_panels(rows) of them; one panel; the narrow last panel.
extern const GemmTileFunction kGemmTilesWide[kGemmRows], kGemmTiles[kGemmRows], kGemmTilesNarrow[kGemmRows];

}  // namespace GK_LEVEL
}  // namespace graphopt
