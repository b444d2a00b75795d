// Matrix products of bytes: the structure of gemm_f32.h with four steps of k in the place of one float.
//
//   sums[i][j] = Σ_k a[i][k] · b[k][j]     a unsigned, b signed, sums int32
//
// Four bytes of a row of A along k lie where a float would, and are broadcast like one; a panel of B holds
// [k / 4][column][4]. So panels, tiles and block sizes have the same bytes and registers, and one instruction does
// four multiplications where the level has dot products. Depths that are no multiple of four are filled with zeros.
// Other dtypes with dot products (two bfloat16 in the place of a float) differ in step() and in how they are packed.
//
// Included by kernels that are compiled for every level, not only for vector levels.
#pragma once

#include <string.h>

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kInt8Lanes = kVectorBytes / 4, kInt8Vectors = 2, kInt8Cols = kInt8Vectors * kInt8Lanes;

// Unsigned: sums that do not fit wrap, as in ONNX.
typedef uint32_t VecU32 __attribute__((vector_size(kVectorBytes)));
typedef uint32_t VecU32Unaligned __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));

inline __attribute__((always_inline)) VecU32 load_u32(const void* from) {
  return *static_cast<const VecU32Unaligned*>(from);
}

inline __attribute__((always_inline)) void store_u32(void* to, VecU32 v) { *static_cast<VecU32Unaligned*>(to) = v; }

inline __attribute__((always_inline)) uint32_t load_four(const uint8_t* from) {
  uint32_t four;
  memcpy(&four, from, 4);
  return four;
}

// A vector of B and four bytes of A in every lane, as the level's dot product takes them.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr int kInt8Rows = kVectorRegisters == 32 ? 14 : 6;
typedef VecU32 DotColumns;
typedef VecU32 DotRow;
inline __attribute__((always_inline)) DotColumns dot_columns(const int8_t* b) { return load_u32(b); }
inline __attribute__((always_inline)) DotRow dot_row(const uint8_t* a) { return VecU32{} + load_four(a); }
inline __attribute__((always_inline)) VecU32 dot(VecU32 sum, DotRow a, DotColumns b) {
#if defined(__AVX512VNNI__)
  return (VecU32)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#else
  return (VecU32)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#endif
}
#elif defined(__ARM_FEATURE_DOTPROD)
// Its dot product takes signed bytes: a is made signed, and the 128 · b that this takes away is added again.
constexpr int kInt8Rows = 6;
typedef VecU32 DotColumns;
typedef VecU32 DotRow;
inline __attribute__((always_inline)) DotColumns dot_columns(const int8_t* b) { return load_u32(b); }
inline __attribute__((always_inline)) DotRow dot_row(const uint8_t* a) {
  return VecU32{} + (load_four(a) ^ 0x80808080u);
}
inline __attribute__((always_inline)) VecU32 dot(VecU32 sum, DotRow a, DotColumns b) {
  const int8x16_t half = vdupq_n_s8(64), columns = (int8x16_t)b;
  const int32x4_t product = vdotq_s32((int32x4_t)sum, (int8x16_t)a, columns);
  return (VecU32)vdotq_s32(vdotq_s32(product, half, columns), half, columns);
}
#elif defined(__x86_64__)
// Sums of two products of 16 bits, for the even and for the odd bytes.
constexpr int kInt8Rows = kVectorRegisters == 32 ? 8 : 3;
struct DotColumns {
  VecU32 even, odd;
};
typedef DotColumns DotRow;
typedef int16_t VecI16 __attribute__((vector_size(kVectorBytes)));
inline __attribute__((always_inline)) DotColumns dot_columns(const int8_t* b) {
  const VecI16 pairs = (VecI16)load_u32(b);
  return {(VecU32)((pairs << 8) >> 8), (VecU32)(pairs >> 8)};
}
inline __attribute__((always_inline)) DotRow dot_row(const uint8_t* a) {
  const uint32_t four = load_four(a);
  return {VecU32{} + (four & 0x00ff00ff), VecU32{} + (four >> 8 & 0x00ff00ff)};
}
inline __attribute__((always_inline)) VecU32 pair_sums(VecU32 a, VecU32 b) {
#if defined(__AVX512F__)
  return (VecU32)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (VecU32)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return (VecU32)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}
inline __attribute__((always_inline)) VecU32 dot(VecU32 sum, DotRow a, DotColumns b) {
  return sum + (pair_sums(a.even, b.even) + pair_sums(a.odd, b.odd));
}
#else
// No instruction to name: the bytes of each group are widened one after the other.
constexpr int kInt8Rows = 6;
struct DotColumns {
  VecU32 at[4];
};
struct DotRow {
  uint32_t at[4];
};
inline __attribute__((always_inline)) DotColumns dot_columns(const int8_t* b) {
  const VecI32 four = (VecI32)load_u32(b);
  return {{(VecU32)((four << 24) >> 24), (VecU32)((four << 16) >> 24), (VecU32)((four << 8) >> 24),
           (VecU32)(four >> 24)}};
}
inline __attribute__((always_inline)) DotRow dot_row(const uint8_t* a) { return {{a[0], a[1], a[2], a[3]}}; }
inline __attribute__((always_inline)) VecU32 dot(VecU32 sum, const DotRow& a, const DotColumns& b) {
  return sum + a.at[0] * b.at[0] + a.at[1] * b.at[1] + a.at[2] * b.at[2] + a.at[3] * b.at[3];
}
#endif

// ---- packing ----

inline int64_t int8_depth(int64_t k) { return (k + 3) / 4; }
inline int64_t int8_padded_cols(int64_t n) { return (n + kInt8Cols - 1) / kInt8Cols * kInt8Cols; }

// Bytes of a packed B: its panels, then the sums of its columns (int32).
inline int64_t int8_packed_bytes(int64_t k, int64_t n) {
  return int8_padded_cols(n) * 4 * int8_depth(k) + int8_padded_cols(n) * 4;
}

inline int32_t* int8_column_sums(void* packed, int64_t k, int64_t n) {
  return static_cast<int32_t*>(packed) + int8_padded_cols(n) * int8_depth(k);
}

// Packs panels [begin, end) of b[i · k_stride + j · n_stride], whose bytes are changed by `flip` (0x80 makes unsigned
// ones signed).
inline void int8_pack_b(const uint8_t* b, int64_t k_stride, int64_t n_stride, int64_t k, int64_t n, uint8_t flip,
                        int64_t begin, int64_t end, void* packed) {
  const int64_t panel_bytes = kInt8Cols * 4 * int8_depth(k);
  for (int64_t p = begin; p < end; ++p) {
    int8_t* panel = static_cast<int8_t*>(packed) + p * panel_bytes;
    int32_t* sums = int8_column_sums(packed, k, n) + p * kInt8Cols;
    memset(panel, 0, static_cast<size_t>(panel_bytes));
    memset(sums, 0, kInt8Cols * 4);
    const int64_t left = n - p * kInt8Cols, cols = left < kInt8Cols ? left : kInt8Cols;
    for (int64_t i = 0; i < k; ++i) {
      const uint8_t* from = b + i * k_stride + p * kInt8Cols * n_stride;
      int8_t* to = panel + i / 4 * kInt8Cols * 4 + i % 4;
      for (int64_t c = 0; c < cols; ++c) {
        const auto value = static_cast<int8_t>(from[c * n_stride] ^ flip);
        to[c * 4] = value;
        sums[c] += value;
      }
    }
  }
}

// A row of A, filled up with zeros; returns the sum of its k bytes.
inline uint32_t int8_stage_row(const uint8_t* a, int64_t k_stride, int64_t k, uint8_t flip, uint8_t* to) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < k; ++i) {
    to[i] = static_cast<uint8_t>(a[i * k_stride] ^ flip);
    sum += to[i];
  }
  for (int64_t i = k; i < int8_depth(k) * 4; ++i) to[i] = 0;
  return sum;
}

// ---- tiles ----

// y[i][j] = sums[i][j] - a_zero[i] · columns[j] - b_zero[j] · row_sums[i]
struct Int8Tile {
  const uint8_t* a;  // rows lda bytes apart, from the first step of the range
  int64_t lda;
  const int8_t* b;
  int64_t depth;     // steps of four
  int32_t* y;
  int64_t ldy, cols;
  bool first, last;  // range of k: the first one overwrites y, the last one corrects it for the zero points
  const uint32_t *a_zero, *row_sums;  // of the tile's rows
  const uint32_t *columns, *b_zero;   // of its columns, as many as the panel has
};

typedef void (*Int8TileFunction)(const Int8Tile&);

template <int R>
void int8_tile(const Int8Tile& tile) {
  VecU32 sums[R][kInt8Vectors] = {};
  const int8_t* b = tile.b;
  for (int64_t i = 0; i < tile.depth; ++i, b += kInt8Cols * 4) {
    DotColumns columns[kInt8Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < kInt8Vectors; ++v) columns[v] = dot_columns(b + v * kVectorBytes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const DotRow row = dot_row(tile.a + r * tile.lda + i * 4);
#pragma GCC unroll 2
      for (int v = 0; v < kInt8Vectors; ++v) {
        sums[r][v] = dot(sums[r][v], row, columns[v]);
        opaque(sums[r][v]);
      }
    }
  }
  const bool whole = tile.cols >= kInt8Cols;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    int32_t* y = tile.y + r * tile.ldy;
    int32_t edge[kInt8Cols] = {};
    if (!whole && !tile.first) memcpy(edge, y, static_cast<size_t>(tile.cols) * 4);
#pragma GCC unroll 2
    for (int v = 0; v < kInt8Vectors; ++v) {
      VecU32 sum = sums[r][v];
      if (!tile.first) sum += load_u32((whole ? y : edge) + v * kInt8Lanes);
      if (tile.last) {
        sum -= tile.a_zero[r] * load_u32(tile.columns + v * kInt8Lanes);
        sum -= tile.row_sums[r] * load_u32(tile.b_zero + v * kInt8Lanes);
      }
      store_u32((whole ? y : edge) + v * kInt8Lanes, sum);
    }
    if (!whole) memcpy(y, edge, static_cast<size_t>(tile.cols) * 4);
  }
}

template <int... rows>
struct Int8Tiles {
  static constexpr Int8TileFunction of[] = {int8_tile<rows>...};
};

#if defined(__AVX512VNNI__)
typedef Int8Tiles<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14> Int8TileTable;
#elif defined(__AVX512F__)
typedef Int8Tiles<1, 2, 3, 4, 5, 6, 7, 8> Int8TileTable;
#elif defined(__AVX2__) && !defined(__AVXVNNI__)
typedef Int8Tiles<1, 2, 3> Int8TileTable;
#elif defined(__x86_64__) && !defined(__AVX2__)
typedef Int8Tiles<1, 2, 3> Int8TileTable;
#else
typedef Int8Tiles<1, 2, 3, 4, 5, 6> Int8TileTable;
#endif
static_assert(sizeof Int8TileTable::of / sizeof(Int8TileFunction) == kInt8Rows);

}  // namespace GK_LEVEL
}  // namespace graphopt
