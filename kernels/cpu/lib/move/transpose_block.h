// Blocks of a plane transposed: to[k][j] = from[j][k], where elements k are contiguous in the source and elements j in
// the destination. Rows count k, columns j.
#pragma once

#include "cpu/lib/move/transpose_tile.h"

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

// By way of a buffer, whose rows go out as whole cache lines one after the other: rows of the destination that are a
// power of two apart push each other's lines out of the cache before these are full.
template <int kBytes, int N>
void transpose_staged(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
                      int64_t columns) {
  constexpr int64_t kColumns = 64, kRows = 256 / kBytes, kPitch = kColumns * kBytes + 64;
  alignas(64) char stage[kRows * kPitch];
  for (int64_t j = 0; j < columns; j += kColumns) {
    const int64_t width = columns - j < kColumns ? columns - j : kColumns;
    for (int64_t k = 0; k < rows; k += kRows) {
      const int64_t height = rows - k < kRows ? rows - k : kRows;
      transpose_block<kBytes, N>(from + j * from_stride + k * kBytes, from_stride, stage, kPitch, height, width);
      char* out = to + k * to_stride + j * kBytes;
      for (int64_t i = 0; i < height; ++i) copy_bytes(out + i * to_stride, stage + i * kPitch, width * kBytes);
    }
  }
}

// Whether rows of the destination so many bytes apart push each other out before their lines are full. A tile that
// fills whole lines does not wait for more, but where more rows than the cache has ways share one set of all caches.
template <int kTileRows, int kLineBytes>
bool is_crowded(int64_t stride) {
  if (kLineBytes < 64) return stride % 1024 == 0;
  return kTileRows > 12 && stride >= 4096 && (stride & (stride - 1)) == 0;
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
  if (rows >= kSide && columns >= kSide && is_crowded<kSide, kBytes * kSide>(to_stride)) {
    return transpose_staged<kBytes, kSide>(from, from_stride, to, to_stride, rows, columns);
  }
  transpose_block<kBytes, kSide>(from, from_stride, to, to_stride, rows, columns);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
