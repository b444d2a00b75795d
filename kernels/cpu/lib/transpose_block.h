// Blocks of a plane transposed: to[k][j] = from[j][k], where elements k are contiguous in the source and elements j in
// the destination. Rows count k, columns j.
#pragma once

#include "cpu/lib/transpose_tile.h"

namespace graphopt {
namespace GK_LEVEL {

// Elements along the side of the largest tile that fits the registers.
constexpr int tile_side(int element) {
  return element == 1 ? 16
         : element == 2 ? (kVectorRegisters >= 32 && kVectorBytes >= 32 ? 16 : 8)
         : element == 4 ? kVectorBytes / 4
         : element == 8 ? kVectorBytes / 8
                        : 4;
}

// Tiles of N × N over a block of columns × rows; the last one of either side is moved back to end with the block.
template <int kBytes, int N>
void transpose_block(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
                     int64_t columns) {
  if constexpr (N == 1) {
    for (int64_t k = 0; k < rows; ++k) {
      for (int64_t j = 0; j < columns; ++j) {
        copy_element<kBytes>(to + k * to_stride + j * kBytes, from + j * from_stride + k * kBytes);
      }
    }
  } else {
    if (rows < N || columns < N) {
      constexpr int kSmaller = kBytes * N > 16 && kBytes < 16 ? N / 2 : 1;
      return transpose_block<kBytes, kSmaller>(from, from_stride, to, to_stride, rows, columns);
    }
    // All tiles of a source line before the next columns: where rows of the source are powers of two apart, their lines
    // push each other out of the cache.
    constexpr int kLine = 64 / kBytes > N ? 64 / kBytes : N;
    for (int64_t line = 0; line < rows; line += kLine) {
      const int64_t line_end = line + kLine < rows ? line + kLine : rows;
      for (int64_t c = 0; c < columns; c += N) {
        const int64_t j = c < columns - N ? c : columns - N;
        for (int64_t r = line; r < line_end; r += N) {
          const int64_t k = r < rows - N ? r : rows - N;
          transpose_tile<kBytes, N>(from + j * from_stride + k * kBytes, from_stride, to + k * to_stride + j * kBytes,
                                    to_stride);
        }
      }
    }
  }
}

// A few columns that lie close in the destination (pixels of three channels, from planes): each row of the tile is
// stored whole, and what is too much of it written over by the next one.
template <int kBytes>
void transpose_few_columns(const char* from, int64_t from_stride, char* to, int64_t rows, int64_t columns) {
  constexpr int N = 16 / kBytes;
  using Tile = TileVector<kBytes, N>;
  const int64_t step = columns * kBytes, whole = rows - (16 + step - 1) / step + 1;  // rows that may be stored so
  int64_t k = 0;
  for (; k + N <= whole; k += N) {
    typename Tile::Type v[N];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
      const int64_t column = j < columns ? j : columns - 1;
      v[j] = *reinterpret_cast<const typename Tile::Unaligned*>(from + column * from_stride + k * kBytes);
    }
    transpose_registers<N>(v);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) *reinterpret_cast<typename Tile::Unaligned*>(to + (k + i) * step) = v[i];
  }
  transpose_block<kBytes, 1>(from + k * kBytes, from_stride, to + k * step, step, rows - k, columns);
}

// A few rows (planes of three channels, from pixels): each column of the tile is read whole, with some of the next.
template <int kBytes>
void transpose_few_rows(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
                        int64_t columns) {
  constexpr int N = 16 / kBytes;
  using Tile = TileVector<kBytes, N>;
  // Columns that may be read so: none of them reaches beyond the last element of the block.
  const int64_t whole = columns - (16 - rows * kBytes + from_stride - 1) / from_stride;
  int64_t j = 0;
  for (; j + N <= whole; j += N) {
    typename Tile::Type v[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) v[i] = *reinterpret_cast<const typename Tile::Unaligned*>(from + (j + i) * from_stride);
    transpose_registers<N>(v);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      if (i < rows) *reinterpret_cast<typename Tile::Unaligned*>(to + i * to_stride + j * kBytes) = v[i];
    }
  }
  transpose_block<kBytes, 1>(from + j * from_stride, from_stride, to + j * kBytes, to_stride, rows, columns - j);
}

template <int kBytes>
void transpose_any(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows, int64_t columns) {
  constexpr int kSide = tile_side(kBytes);
  if constexpr (kBytes == 2 || kBytes == 4) {
    constexpr int64_t kFew = 16 / kBytes;
    if (columns < kFew && to_stride == columns * kBytes) {
      return transpose_few_columns<kBytes>(from, from_stride, to, rows, columns);
    }
    if (rows < kFew && from_stride > 0) {
      return transpose_few_rows<kBytes>(from, from_stride, to, to_stride, rows, columns);
    }
  }
  transpose_block<kBytes, kSide>(from, from_stride, to, to_stride, rows, columns);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
