// The micro-kernels of gemm_f32.h: per step of k one load of each vector of B, one broadcast of each row of A and a
// multiply-add for each pair. Row pointers that do not fit into registers are read again every kUnroll steps.
#include "cpu/lib/gemm/gemm_f32_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

inline __attribute__((always_inline)) VecF32 load(const float* from) {
  return *reinterpret_cast<const VecF32Unaligned*>(from);
}

inline __attribute__((always_inline)) void store(float* to, VecF32 v) { *reinterpret_cast<VecF32Unaligned*>(to) = v; }

#if defined(__AVX2__) && !defined(__AVX512F__)
inline __attribute__((always_inline)) __m256i lanes_below(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < 0 ? 0 : count > 8 ? 8 : count)), lane);
}
#endif

inline __attribute__((always_inline)) VecF32 all(float x) { return x - VecF32{}; }

// Step `u` behind step i of k.
template <int R, int P, int V, int T, int u>
inline __attribute__((always_inline)) void step(VecF32 (&sums)[R][P * V + T], const float* const (&rows)[R], int64_t i,
                                                const float* b, int64_t panel_step, const float* tail) {
  constexpr int N = P * V + T;
  VecF32 columns[N];
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) columns[p * V + v] = load(b + p * panel_step + (u * V + v) * kGemmLanes);
  }
  if constexpr (T != 0) columns[P * V] = load(tail + u * kGemmLanes);
#if defined(__AVX512F__) && defined(__OPTIMIZE__)
  // With one vector of columns the broadcasts set the pace, and those inside a multiply-add are the faster ones.
  // (Without optimisation no other tile fuses its multiply-adds, and results must not depend on the tile.)
  if constexpr (N == 1) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float* row = rows[r];
      __asm__("vfmadd231ps %c4(%2,%3,4)%{1to16%}, %1, %0"
              : "+v"(sums[r][0])
              : "v"(columns[0]), "r"(row), "r"(i), "i"(4 * u), "m"(row[i + u]));
    }
    return;
  }
#endif
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const float x = rows[r][i + u];
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
      sums[r][v] += x * columns[v];
      opaque(sums[r][v]);  // or steps are merged in ways that need more registers than there are
    }
  }
}

template <int R, int P, int V, int T>
inline __attribute__((always_inline)) void accumulate(VecF32 (&sums)[R][P * V + T], const GemmTile& tile) {
  static_assert(kGemmUnroll == 4);
  const float *b = tile.b, *tail = tile.tail;
  const int64_t panel_step = tile.panel_step, k = tile.k;
  const float* const* pointers = tile.rows;
  const char *ahead = tile.ahead, *ahead_end = tile.ahead_end;
  for (int64_t tap = 0; tap < tile.taps; ++tap) {
    const float* rows[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) rows[r] = pointers[r] + tile.k_first;
    int64_t i = 0;
    for (; i + kGemmUnroll <= k; i += kGemmUnroll) {
      step<R, P, V, T, 0>(sums, rows, i, b, panel_step, tail);
      step<R, P, V, T, 1>(sums, rows, i, b, panel_step, tail);
      step<R, P, V, T, 2>(sums, rows, i, b, panel_step, tail);
      step<R, P, V, T, 3>(sums, rows, i, b, panel_step, tail);
      b += kGemmUnroll * V * kGemmLanes;
      if constexpr (T != 0) tail += kGemmUnroll * kGemmLanes;
      // Several panels at once are read at the pace of the memory, which the processor's own prefetching keeps up with.
      if constexpr (P > 1) continue;
      if (ahead >= ahead_end) ahead = tile.ahead_then, ahead_end = tile.ahead_then_end;
      if (ahead < ahead_end) {
        for (int64_t line = 0; line < tile.ahead_lines; ++line, ahead += 64) __builtin_prefetch(ahead, 0, 2);
      }
    }
    for (; i < k; ++i) {
      step<R, P, V, T, 0>(sums, rows, i, b, panel_step, tail);
      b += V * kGemmLanes;
      if constexpr (T != 0) tail += kGemmLanes;
    }
    pointers += tile.tap_step;
  }
}

// The first `count` floats of a vector, the others zero; count may be anything.
inline __attribute__((always_inline)) VecF32 load_part(const float* from, int64_t count) {
#if defined(__AVX512F__)
  const __mmask16 mask = count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  return (VecF32)_mm512_maskz_loadu_ps(mask, from);
#elif defined(__AVX2__)
  return (VecF32)_mm256_maskload_ps(from, lanes_below(count));
#else
  VecF32 v = {};
  for (int l = 0; l < kGemmLanes; ++l) {
    if (l < count) v[l] = from[l];
  }
  return v;
#endif
}

inline __attribute__((always_inline)) void store_part(float* to, VecF32 v, int64_t count) {
#if defined(__AVX512F__)
  const __mmask16 mask = count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  _mm512_mask_storeu_ps(to, mask, (__m512)v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(to, lanes_below(count), (__m256)v);
#else
  for (int l = 0; l < kGemmLanes; ++l) {
    if (l < count) to[l] = v[l];
  }
#endif
}

// Memory of a row of the tile: all of its columns are there, or only the first `cols`.
struct Whole {
  VecF32 get(const float* row, int v) const { return load(row + v * kGemmLanes); }
  void put(float* row, int v, VecF32 x) const { store(row + v * kGemmLanes, x); }
};

struct Part {
  int64_t cols;
  VecF32 get(const float* row, int v) const { return load_part(row + v * kGemmLanes, cols - v * kGemmLanes); }
  void put(float* row, int v, VecF32 x) const { store_part(row + v * kGemmLanes, x, cols - v * kGemmLanes); }
};

// From sums to memory.
template <int R, int N, class Memory>
inline __attribute__((always_inline)) void finish(VecF32 (&sums)[R][N], const GemmTile& tile, Memory memory) {
  if (!tile.first) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sums[r][v] += memory.get(tile.c + r * tile.ldc, v);
    }
  }
  if (tile.last) {
    if (tile.alpha != 1.0f) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] *= tile.alpha;
      }
    }
    if (tile.bias != nullptr) {
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) {
        const VecF32 bias = memory.get(tile.bias, v);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sums[r][v] += bias;
      }
    }
    if (tile.addend != nullptr && tile.addend_cols == 0) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const float x = tile.addend_scale * tile.addend[r * tile.addend_rows];
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] += x;
      }
    } else if (tile.addend != nullptr) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sums[r][v] += tile.addend_scale * memory.get(tile.addend + r * tile.addend_rows, v);
      }
    }
    if (tile.clamp) {
      const VecF32 low = all(tile.low), high = all(tile.high);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) {
          sums[r][v] = sums[r][v] < low ? low : sums[r][v];
          sums[r][v] = sums[r][v] > high ? high : sums[r][v];
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) memory.put(tile.c + r * tile.ldc, v, sums[r][v]);
  }
}

template <int R, int P, int V, int T>
void run(const GemmTile& tile) {
  constexpr int N = P * V + T;
  if (tile.fetch_results) {
    // Into the second level: rows a power of two apart would push each other out of the first.
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < N; v += 64 / kVectorBytes) __builtin_prefetch(tile.c + r * tile.ldc + v * kGemmLanes, 1, 2);
    }
  }
  VecF32 sums[R][N] = {};
  accumulate<R, P, V, T>(sums, tile);
  if (P == 1 && tile.cols < N * kGemmLanes) return finish<R, N>(sums, tile, Part{tile.cols});
  finish<R, N>(sums, tile, Whole{});
}

template <GemmColumns columns, int rows>
constexpr GemmTileFunction function() {
  if constexpr (rows > gemm_most_rows(columns)) {
    return nullptr;
  } else if constexpr (columns == kGemmNarrow) {
    return run<rows, 1, 1, 0>;
  } else if constexpr (columns == kGemmOneAndNarrow) {
    return run<rows, 1, 2, 1>;
  } else {
    return run<rows, gemm_vectors(columns) / 2, 2, 0>;
  }
}

}  // namespace

#define GK_COLUMNS(columns)                                                                                   \
  {function<columns, 1>(),  function<columns, 2>(),  function<columns, 3>(),  function<columns, 4>(),         \
   function<columns, 5>(),  function<columns, 6>(),  function<columns, 7>(),  function<columns, 8>(),         \
   function<columns, 9>(),  function<columns, 10>(), function<columns, 11>(), function<columns, 12>(),        \
   GK_MORE_ROWS(columns)}
#if defined(__AVX512F__)
#define GK_MORE_ROWS(columns) function<columns, 13>(), function<columns, 14>()
#else
#define GK_MORE_ROWS(columns)
#endif

const GemmTileFunction kGemmTiles[kGemmColumnKinds][kGemmRows > 12 ? kGemmRows : 12] = {
    GK_COLUMNS(kGemmNarrow), GK_COLUMNS(kGemmOne), GK_COLUMNS(kGemmOneAndNarrow), GK_COLUMNS(kGemmTwo),
    GK_COLUMNS(kGemmFour)};

}  // namespace GK_LEVEL
}  // namespace graphopt
