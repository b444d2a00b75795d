// The micro-kernels of gemm_f32.h: per step of k one load of each vector of B, one broadcast of each row of A and a
// multiply-add for each pair. Row pointers that do not fit into registers are read again every kUnroll steps.
#include "cpu/lib/gemm_f32_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kUnroll = 4;

inline __attribute__((always_inline)) VecF32 load(const float* from) {
  return *reinterpret_cast<const VecF32Unaligned*>(from);
}

inline __attribute__((always_inline)) void store(float* to, VecF32 v) { *reinterpret_cast<VecF32Unaligned*>(to) = v; }

inline __attribute__((always_inline)) VecF32 all(float x) { return x - VecF32{}; }

// One step of k.
template <int R, int P, int V>
inline __attribute__((always_inline)) void step(VecF32 (&sums)[R][P * V], const float* const (&rows)[R], int64_t i,
                                                const float* b, int64_t panel_step) {
  VecF32 columns[P * V];
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) columns[p * V + v] = load(b + p * panel_step + v * kGemmLanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const float x = rows[r][i];
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) sums[r][v] += x * columns[v];
  }
}

template <int R, int P, int V>
inline __attribute__((always_inline)) void accumulate(VecF32 (&sums)[R][P * V], const GemmTile& tile) {
  const float* b = tile.b;
  const int64_t panel_step = tile.panel_step, k = tile.k;
  const float* const* pointers = tile.rows;
  for (int64_t tap = 0; tap < tile.taps; ++tap) {
    const float* rows[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) rows[r] = pointers[r] + tile.k_first;
    int64_t i = 0;
    for (; i + kUnroll <= k; i += kUnroll) {
#pragma GCC unroll 8
      for (int u = 0; u < kUnroll; ++u) step<R, P, V>(sums, rows, i + u, b + u * V * kGemmLanes, panel_step);
      b += kUnroll * V * kGemmLanes;
    }
    for (; i < k; ++i) {
      step<R, P, V>(sums, rows, i, b, panel_step);
      b += V * kGemmLanes;
    }
    pointers += tile.tap_step;
  }
}

// The last range of k: one row of `count` columns (a multiple of the lanes), from sums to results.
template <int N>
inline __attribute__((always_inline)) void finish_row(VecF32 (&sums)[N], const GemmTile& tile, int row, float* c) {
  if (tile.alpha != 1.0f) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sums[v] *= tile.alpha;
  }
  if (tile.bias != nullptr) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sums[v] += load(tile.bias + v * kGemmLanes);
  }
  if (tile.addend != nullptr) {
    const float* addend = tile.addend + row * tile.addend_rows;
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
      sums[v] += tile.addend_scale * (tile.addend_cols == 0 ? all(addend[0]) : load(addend + v * kGemmLanes));
    }
  }
  if (tile.clamp) {
    const VecF32 low = all(tile.low), high = all(tile.high);
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
      sums[v] = sums[v] < low ? low : sums[v];
      sums[v] = sums[v] > high ? high : sums[v];
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) store(c + v * kGemmLanes, sums[v]);
}

// A tile that reaches past the last column: by way of a row of its own, so that nothing outside is touched.
template <int N>
__attribute__((noinline)) void finish_ragged_row(const float* from, const GemmTile& tile, int row) {
  float bias[N * kGemmLanes] = {}, addend[N * kGemmLanes] = {}, result[N * kGemmLanes];
  float* c = tile.c + row * tile.ldc;
  GemmTile inner = tile;
  for (int64_t j = 0; j < tile.cols; ++j) {
    if (tile.bias != nullptr) bias[j] = tile.bias[j];
    if (tile.addend != nullptr) addend[j] = tile.addend[row * tile.addend_rows + j * tile.addend_cols];
  }
  if (tile.bias != nullptr) inner.bias = bias;
  if (tile.addend != nullptr) inner.addend = addend, inner.addend_cols = 1;
  VecF32 sums[N];
  for (int v = 0; v < N; ++v) sums[v] = load(from + v * kGemmLanes);
  finish_row<N>(sums, inner, 0, result);
  for (int64_t j = 0; j < tile.cols; ++j) c[j] = result[j];
}

template <int R, int P, int V>
void run(const GemmTile& tile) {
  constexpr int N = P * V;
  VecF32 sums[R][N] = {};
  accumulate<R, P, V>(sums, tile);
  if (tile.cols < N * kGemmLanes) {
    float rows[R][N * kGemmLanes];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) store(rows[r] + v * kGemmLanes, sums[r][v]);
    }
    for (int r = 0; r < R; ++r) {
      float* c = tile.c + r * tile.ldc;
      if (!tile.first) {
        for (int64_t j = 0; j < tile.cols; ++j) rows[r][j] += c[j];
      }
      if (tile.last) {
        finish_ragged_row<N>(rows[r], tile, r);
      } else {
        for (int64_t j = 0; j < tile.cols; ++j) c[j] = rows[r][j];
      }
    }
    return;
  }
  if (!tile.first) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sums[r][v] += load(tile.c + r * tile.ldc + v * kGemmLanes);
    }
  }
  if (tile.last) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) finish_row<N>(sums[r], tile, r, tile.c + r * tile.ldc);
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) store(tile.c + r * tile.ldc + v * kGemmLanes, sums[r][v]);
  }
}

}  // namespace

#define GK_WIDE(r) run<r, gemm_tile_panels(r), 2>
#define GK_ONE(r) run<r, 1, 2>
#define GK_NARROW(r) run<r, 1, 1>
#if defined(__AVX512F__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12), of(13), of(14)
#elif defined(__aarch64__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12)
#elif defined(__AVX2__)
#define GK_ROWS(of) of(1), of(2), of(3), of(4), of(5), of(6)
#else
#define GK_ROWS(of) of(1), of(2), of(3), of(4)
#endif

const GemmTileFunction kGemmTilesWide[kGemmRows] = {GK_ROWS(GK_WIDE)};
const GemmTileFunction kGemmTiles[kGemmRows] = {GK_ROWS(GK_ONE)};
const GemmTileFunction kGemmTilesNarrow[kGemmRows] = {GK_ROWS(GK_NARROW)};

}  // namespace GK_LEVEL
}  // namespace graphopt
