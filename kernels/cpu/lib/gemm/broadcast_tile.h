// The inner product of matrices of which one is small enough to stay in the cache as it lies:
// acc[i][v] += Σ_k A[i][k] · B[k][v·lanes …]. A is read element by element with any two strides and broadcast,
// B in whole vectors; nothing is packed. ROWS × VECTORS accumulators stay in registers.
#pragma once

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

// As many accumulators as registers allow, beside the vectors of B and one of A.
constexpr int kTileRows = 6, kTileVectors = kVectorRegisters == 32 ? 4 : 2;

template <int ROWS, int VECTORS>
inline __attribute__((always_inline)) void broadcast_tile(const float* a, int64_t a_row, int64_t a_k, const float* b,
                                                          int64_t ldb, int64_t k, VecF32 (&acc)[ROWS][VECTORS]) {
  for (int64_t step = 0; step < k; ++step) {
    VecF32 columns[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) columns[v] = load_lanes(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const VecF32 x = splat(a[i * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) acc[i][v] += x * columns[v];
    }
    a += a_k;
    b += ldb;
  }
}

// The same where few accumulators would leave the multipliers waiting for each other: k is dealt out in turns to
// several sets of them, summed at the end.
template <int ROWS, int VECTORS>
inline __attribute__((always_inline)) void broadcast_tile_deep(const float* a, int64_t a_row, int64_t a_k,
                                                               const float* b, int64_t ldb, int64_t k,
                                                               VecF32 (&acc)[ROWS][VECTORS]) {
  constexpr int kSets = ROWS * VECTORS >= 8 ? 1 : ROWS * VECTORS >= 4 ? 2 : 4;
  int64_t step = 0;
  if constexpr (kSets > 1) {
    VecF32 sets[kSets][ROWS][VECTORS] = {};
    for (; step + kSets <= k; step += kSets) {
#pragma GCC unroll 4
      for (int set = 0; set < kSets; ++set) {
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
          const VecF32 x = splat(a[i * a_row]);
#pragma GCC unroll 8
          for (int v = 0; v < VECTORS; ++v) sets[set][i][v] += x * load_lanes(b + v * kLanes);
        }
        a += a_k;
        b += ldb;
      }
    }
#pragma GCC unroll 4
    for (int set = 0; set < kSets; ++set) {
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) acc[i][v] += sets[set][i][v];
      }
    }
  }
  broadcast_tile<ROWS, VECTORS>(a, a_row, a_k, b, ldb, k - step, acc);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
