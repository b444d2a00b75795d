// The register tiles of gemm_f32.h, over one range of k.
#pragma once

#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {

typedef float VecF32Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));



struct GemmTile {
  const float* const* rows;  // row pointers of the first tap
  int64_t tap_step, taps;
  int64_t k, k_first;        // of each tap, the floats [k_first, k_first + k)
  const float* b;            // the panel's row for the first of these
  int64_t panel_step;        // to the same row of the next panel, if that is not
  const float* tail;         // the narrow last one, in a tile that ends with it
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

// Columns of a tile. Few rows take several panels, to have enough sums in flight; the narrow panel at the end goes
// with the one before it, whose broadcasts of A it shares.
enum GemmColumns { kGemmNarrow, kGemmOne, kGemmOneAndNarrow, kGemmTwo, kGemmFour, kGemmColumnKinds };

constexpr int gemm_vectors(GemmColumns columns) {
  constexpr int kVectors[] = {1, 2, 3, 4, 8};
  return kVectors[columns];
}

// Most rows of a tile with such columns: as the registers allow.
constexpr int gemm_most_rows(GemmColumns columns) {
  constexpr int kLarge[] = {11, kGemmRows, kVectorBytes == 64 ? 9 : 8, 6, 2}, kMiddle[] = {8, kGemmRows, 4, 3, 1},
                kSmall[] = {6, kGemmRows, 2, 2, 1};
  return kVectorRegisters == 32 ? kLarge[columns] : kVectorBytes == 32 ? kMiddle[columns] : kSmall[columns];
}

// By columns and rows - 1; null past the most rows.
extern const GemmTileFunction kGemmTiles[kGemmColumnKinds][kGemmRows > 12 ? kGemmRows : 12];

}  // namespace GK_LEVEL
}  // namespace graphopt
