// The register tiles of conv_depthwise.cpp: output pixels by channels.
#pragma once

#include "cpu/lib/conv/conv_activation.h"
#include "cpu/lib/conv/conv_depthwise.h"

namespace graphopt {
namespace GK_LEVEL {
namespace depthwise {

// Output pixels of the largest tiles of one row and of two: as many sums as hide how long one takes, or as fit.
constexpr int kTile = kVectorRegisters == 32 ? 14 : 8, kPairTile = 8;
constexpr int kTogether = kVectorRegisters == 32 ? 8 : 4;  // taps of a line that wide kernels take at a time
constexpr int kGenericTile = 4;
constexpr int kGenericTaps = 32;  // taps between two visits to Y

#define GK_TILE inline __attribute__((always_inline))

// A vector of which the first `left` lanes count; more than all is all.
GK_TILE VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

GK_TILE void store_some(float* to, VecF32 v, int64_t left) {
  if (left >= kLanes) return store_lanes(to, v);
  store_part(to, v, left);
}

inline int64_t blocks_of(int64_t channels) { return (channels + kLanes - 1) / kLanes; }

// What a register tile reads and writes. Input row i of the tile meets kernel row i - r of output row r.
struct Tile {
  const float* const* table;  // [input row][column] pointers to pixels, or null: column j of row i is at
  const float* x;             // x + i * row_step + j * pixel_step
  int64_t row_step, pixel_step;
  int row_begin, row_end;     // input rows that are not padding
  int kernel_rows, kernel_width;
  const float* weights;       // of channel block 0
  int64_t block_step;         // between two blocks of weights
  const float* bias;
  float* y;
  int64_t y_row_step, y_step, channels;
  int count;                  // output pixels to write
  Activation activation;
};

// One input row into the accumulators of the output rows it belongs to (First, Second).
template <int KW, int SW, int P, bool First, bool Second, bool Table, bool Tail>
GK_TILE void add_row(const Tile& tile, int i, int64_t c, int64_t left, const float* weights, VecF32 (*acc)[P]) {
  constexpr int columns = (P - 1) * SW + KW;
  VecF32 w[2][KW];
#pragma GCC unroll 16
  for (int t = 0; t < KW; ++t) {
    if constexpr (First) w[0][t] = load_lanes(weights + (i * KW + t) * kLanes);
    if constexpr (Second) w[1][t] = load_lanes(weights + ((i - 1) * KW + t) * kLanes);
  }
  const float* row = Table ? nullptr : tile.x + i * tile.row_step + c;
#pragma GCC unroll 32
  for (int j = 0; j < columns; ++j) {
    const float* at = Table ? tile.table[i * columns + j] + c : row + j * tile.pixel_step;
    const VecF32 x = Tail ? load_some(at, left) : load_lanes(at);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const int t = j - p * SW;
      if (t < 0 || t >= KW) continue;
      if constexpr (First) acc[0][p] += x * w[0][t];
      if constexpr (Second) acc[1][p] += x * w[1][t];
    }
  }
}

// One vector of channels.
template <int KW, int SW, int R, int P, bool Table, bool Tail>
GK_TILE void tile_block(const Tile& tile, int64_t c, const float* weights) {
  const int64_t left = tile.channels - c;
  VecF32 start = {};
  if (tile.bias != nullptr) start = Tail ? load_some(tile.bias + c, left) : load_lanes(tile.bias + c);
  VecF32 acc[R][P];
#pragma GCC unroll 32
  for (int i = 0; i < R * P; ++i) acc[i / P][i % P] = start;
  if constexpr (R == 1) {
    for (int i = tile.row_begin; i < tile.row_end; ++i) {
      add_row<KW, SW, P, true, false, Table, Tail>(tile, i, c, left, weights, acc);
    }
  } else {
    int i = tile.row_begin;
    const int both = tile.row_end < tile.kernel_rows ? tile.row_end : tile.kernel_rows;
    if (i == 0 && i < both) add_row<KW, SW, P, true, false, Table, Tail>(tile, i++, c, left, weights, acc);
    for (; i < both; ++i) add_row<KW, SW, P, true, true, Table, Tail>(tile, i, c, left, weights, acc);
    if (i < tile.row_end) add_row<KW, SW, P, false, true, Table, Tail>(tile, i, c, left, weights, acc);
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
    float* y = tile.y + r * tile.y_row_step + c;
    activate<P>(tile.activation, acc[r]);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      if (Table && p >= tile.count) break;
      if constexpr (Tail) {
        store_some(y + p * tile.y_step, acc[r][p], left);
      } else {
        store_lanes(y + p * tile.y_step, acc[r][p]);
      }
    }
  }
}

template <int KW, int SW, int R, int P, bool Table>
void fast_tile(const Tile& tile) {
  const float* weights = tile.weights;
  int64_t c = 0;
  for (; c + kLanes <= tile.channels; c += kLanes, weights += tile.block_step) {
    tile_block<KW, SW, R, P, Table, false>(tile, c, weights);
  }
  if (c < tile.channels) tile_block<KW, SW, R, P, Table, true>(tile, c, weights);
}

// T neighbouring taps of input row i, from tap `tap` on, of a kernel of any width.
template <int T, int SW, int P, bool Table, bool Tail>
GK_TILE void add_taps(const Tile& tile, int i, int tap, int64_t c, int64_t left, const float* weights,
                      VecF32 (&acc)[P]) {
  VecF32 w[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) w[t] = load_lanes(weights + (i * tile.kernel_width + tap + t) * kLanes);
  const float* row = Table ? nullptr : tile.x + i * tile.row_step + tap * tile.pixel_step + c;
  const float* const* pixels = Table ? tile.table + i * ((P - 1) * SW + tile.kernel_width) + tap : nullptr;
#pragma GCC unroll 64
  for (int j = 0; j < (P - 1) * SW + T; ++j) {
    if (SW > T && j % SW >= T) continue;
    const float* at = Table ? pixels[j] + c : row + j * tile.pixel_step;
    const VecF32 x = Tail ? load_some(at, left) : load_lanes(at);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const int t = j - p * SW;
      if (t >= 0 && t < T) acc[p] += x * w[t];
    }
  }
}

template <int SW, int P, bool Table, bool Tail>
GK_TILE void wide_block(const Tile& tile, int64_t c, const float* weights) {
  const int64_t left = tile.channels - c;
  VecF32 start = {};
  if (tile.bias != nullptr) start = Tail ? load_some(tile.bias + c, left) : load_lanes(tile.bias + c);
  VecF32 acc[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) acc[p] = start;
  const int width = tile.kernel_width;
  for (int i = tile.row_begin; i < tile.row_end; ++i) {
    int tap = 0;
    for (; tap + kTogether <= width; tap += kTogether) {
      add_taps<kTogether, SW, P, Table, Tail>(tile, i, tap, c, left, weights, acc);
    }
    if constexpr (kTogether > 4) {
      if (width - tap >= 4) {
        add_taps<4, SW, P, Table, Tail>(tile, i, tap, c, left, weights, acc);
        tap += 4;
      }
    }
    if (width - tap >= 2) {
      add_taps<2, SW, P, Table, Tail>(tile, i, tap, c, left, weights, acc);
      tap += 2;
    }
    if (width - tap == 1) add_taps<1, SW, P, Table, Tail>(tile, i, tap, c, left, weights, acc);
  }
  activate<P>(tile.activation, acc);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    if (Table && p >= tile.count) break;
    if constexpr (Tail) {
      store_some(tile.y + p * tile.y_step + c, acc[p], left);
    } else {
      store_lanes(tile.y + p * tile.y_step + c, acc[p]);
    }
  }
}

template <int SW, int P, bool Table>
void wide_tile(const Tile& tile) {
  const float* weights = tile.weights;
  int64_t c = 0;
  for (; c + kLanes <= tile.channels; c += kLanes, weights += tile.block_step) {
    wide_block<SW, P, Table, false>(tile, c, weights);
  }
  if (c < tile.channels) wide_block<SW, P, Table, true>(tile, c, weights);
}

// Any kernel, stride and dilation, from pointers per tap and pixel.
struct Taps {
  const float* x[kGenericTaps][kGenericTile];
  int count;
  bool begin, end;  // of the kernel: start with the bias, not Y; end with the clamp
};

template <bool Multiplied>
void generic_tile(const Tile& tile, const Taps& taps, int64_t multiplier, const float* weights) {
  for (int64_t c = 0; c < tile.channels; c += kLanes, weights += tile.block_step) {
    const int64_t left = tile.channels - c;
    const int64_t from = Multiplied ? c / multiplier : c;
    VecI32 lane = {};
    int64_t reads = left;
    if constexpr (Multiplied) {
      for (int i = 0; i < kLanes; ++i) lane[i] = static_cast<int32_t>((c + i) / multiplier - from);
      reads = (tile.channels - 1) / multiplier - from + 1;
    }
    VecF32 acc[kGenericTile];
#pragma GCC unroll 4
    for (int p = 0; p < kGenericTile; ++p) {
      acc[p] = VecF32{};
      if (!taps.begin) {
        if (p < tile.count) acc[p] = load_some(tile.y + p * tile.y_step + c, left);
      } else if (tile.bias != nullptr) {
        acc[p] = load_some(tile.bias + c, left);
      }
    }
    for (int t = 0; t < taps.count; ++t) {
      const VecF32 w = load_lanes(weights + t * kLanes);
#pragma GCC unroll 4
      for (int p = 0; p < kGenericTile; ++p) {
        VecF32 x = load_some(taps.x[t][p] + from, reads);
        if constexpr (Multiplied) x = __builtin_shuffle(x, lane);
        acc[p] += x * w;
      }
    }
    if (taps.end) activate<kGenericTile>(tile.activation, acc);
#pragma GCC unroll 4
    for (int p = 0; p < kGenericTile; ++p) {
      if (p < tile.count) store_some(tile.y + p * tile.y_step + c, acc[p], left);
    }
  }
}

using FastTile = void (*)(const Tile&);

// The kernels of one kernel width and stride, for one or two rows.
struct FastTiles {
  int pixels[3];      // of each size
  int most_left[2];   // what is left of a row goes to the last size, or the one before it, where it is no more than that
  FastTile inner;     // the first size, no padding at the sides
  FastTile table[3];
};

template <int KW, int SW, int R, int P>
constexpr FastTiles kFastOf = {{P, P / 2, P / 4},
                               {P / 4, P > 8 ? P / 2 + P / 4 : P / 2},
                               fast_tile<KW, SW, R, P, false>,
                               {fast_tile<KW, SW, R, P, true>, fast_tile<KW, SW, R, P / 2, true>,
                                fast_tile<KW, SW, R, P / 4, true>}};

template <int KW, int SW, int R>
constexpr const FastTiles& kFast = kFastOf<KW, SW, R, R == 1 ? kTile : kPairTile>;

template <int SW>
constexpr FastTiles kWide = {{kTile, kTile / 2, kTile / 4},
                             {kTile / 4, kTile > 8 ? kTile / 2 + kTile / 4 : kTile / 2},
                             wide_tile<SW, kTile, false>,
                             {wide_tile<SW, kTile, true>, wide_tile<SW, kTile / 2, true>, wide_tile<SW, kTile / 4, true>}};

// For one row every width has one, at strides of one and two. Pixels of a dilated line lie far apart, often so that they
// meet in the cache: fewer of them make a tile.
inline const FastTiles* fast_tiles(int64_t width, int64_t stride, int64_t rows, int64_t dilation) {
  if (rows == 2) {
    if (kVectorRegisters < 32 || stride != 1) return nullptr;
    return width == 3 ? &kFast<3, 1, 2> : width == 5 ? &kFast<5, 1, 2> : nullptr;
  }
  if (stride == 1 && width == 3 && dilation > 1) return &kFastOf<3, 1, 1, kPairTile>;
  if (stride == 1 && width == 3) return &kFast<3, 1, 1>;
  if (stride == 1 && width == 5) return &kFast<5, 1, 1>;
  if (stride == 1 && width == 7) return &kFast<7, 1, 1>;
  if (stride == 2 && width == 3) return &kFast<3, 2, 1>;
  if (stride == 2 && width == 5) return &kFast<5, 2, 1>;
  return stride == 1 ? &kWide<1> : stride == 2 ? &kWide<2> : nullptr;
}

}  // namespace depthwise
}  // namespace GK_LEVEL
}  // namespace graphopt
