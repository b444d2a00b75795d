// Per channel of a group: the weights of three taps, then every pixel that they meet, loaded (and permuted) once.
#include "cpu/lib/conv/conv_grouped_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace grouped {
namespace {

#define GK_TILE inline __attribute__((always_inline))

// What the lanes of a vector of filters read of a pixel for channel c of their groups.
template <int Width>
GK_TILE VecF32 read(const float* pixel, int64_t c) {
  if constexpr (Width == 0 || Width == kLanes) {
    return splat(pixel[c]);
  } else if constexpr (Width == 1) {
    return load_lanes(pixel + c * kLanes);
  } else {
    VecI32 lane;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) lane[i] = i / Width * Width + static_cast<int>(c);
    return __builtin_shuffle(load_lanes(pixel), lane);
  }
}

// Channel c of T taps into all sums. x is where the first of them lies for the first pixel.
template <int Width, int Stride, int T, int P>
GK_TILE void add_channel(const Tile& tile, const float* x, int64_t c, const float* weights, VecF32 (&sums)[P]) {
  const int64_t pixel_floats = Width > 1 ? kLanes : tile.pixel_floats;
  VecF32 w[T];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) w[t] = load_lanes(weights + t * kLanes);
  if constexpr (T == 1) {
    const int64_t step = Stride > 0 && Width > 1 ? Stride * kLanes : tile.pixel_step;
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sums[p] += read<Width>(x + p * step, c) * w[0];
  } else {
#pragma GCC unroll 32
    for (int j = 0; j < (P - 1) * Stride + T; ++j) {
      const VecF32 v = read<Width>(x + j * pixel_floats, c);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        const int t = j - p * Stride;
        if (t >= 0 && t < T) sums[p] += v * w[t];
      }
    }
  }
}

// All channels of T taps.
template <int Width, int Stride, int T, int P>
GK_TILE void add_taps(const Tile& tile, const float* x, const float* weights, VecF32 (&sums)[P]) {
  if constexpr (Width > 1 && Width < kLanes) {
#pragma GCC unroll 8
    for (int c = 0; c < Width; ++c) add_channel<Width, Stride, T>(tile, x, c, weights + c * T * kLanes, sums);
  } else {
    const int64_t depth = Width > 1 ? Width : tile.depth;
    for (int64_t c = 0; c < depth; ++c) add_channel<Width, Stride, T>(tile, x, c, weights + c * T * kLanes, sums);
  }
}

template <int Width, int Stride, int P>
void run_tile(const Tile& tile) {
  VecF32 sums[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) sums[p] = tile.bias;
  const float* weights = tile.weights;
  const int64_t step = (Width > 1 ? Width : tile.depth) * kLanes;  // of weights, per tap
  for (int64_t line = 0; line < tile.line_count; ++line) {
    const float* x = tile.x + tile.lines[line];
    if constexpr (Stride > 0) {
      for (int64_t i = 0; i < tile.triples; ++i, x += 3 * tile.tap_step, weights += 3 * step) {
        add_taps<Width, Stride, 3>(tile, x, weights, sums);
      }
    }
    for (int64_t i = 0; i < tile.singles; ++i, x += tile.tap_step, weights += step) {
      add_taps<Width, Stride, 1>(tile, x, weights, sums);
    }
  }
  activate<P>(tile.activation, sums);
  const bool whole = tile.lanes >= kLanes;
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    if (p >= tile.count) break;
    if (whole) {
      store_lanes(tile.y + p * tile.y_step, sums[p]);
    } else {
      store_part(tile.y + p * tile.y_step, sums[p], tile.lanes);
    }
  }
}

template <int Width, int Stride>
constexpr TileFunction kTiles[] = {run_tile<Width, Stride, kTilePixels[0]>, run_tile<Width, Stride, kTilePixels[1]>,
                                   run_tile<Width, Stride, kTilePixels[2]>};

template <int Width>
const TileFunction* by_stride(int64_t stride) {
  return stride == 1 ? kTiles<Width, 1> : stride == 2 ? kTiles<Width, 2> : kTiles<Width, 0>;
}

}  // namespace

const TileFunction* tiles_of(int64_t width, int64_t stride) {
  if (width == 0) return by_stride<0>(stride);
  if (width == 1) return by_stride<1>(stride);
  if (width == kLanes) return by_stride<kLanes>(stride);
  if (width == 2) return by_stride<2>(stride);
  if constexpr (kLanes > 4) {
    if (width == 4) return by_stride<4>(stride);
  }
  if constexpr (kLanes > 8) {
    if (width == 8) return by_stride<8>(stride);
  }
  return nullptr;
}

}  // namespace grouped
}  // namespace GK_LEVEL
}  // namespace graphopt
