// The register tiles of conv_grouped.h: neighbouring output pixels of one line by a vector of filters.
#pragma once

#include "cpu/lib/conv/conv_activation.h"

namespace graphopt {
namespace GK_LEVEL {
namespace grouped {

struct Tile {
  const float* x;        // the band's first pixel that the tile reads
  const int64_t* lines;  // from x, to the first tap of each kernel line
  int64_t line_count;
  int64_t pixel_floats, pixel_step, tap_step;  // floats from a pixel of the band, of Y and from a tap to the next
  int64_t triples, singles;                    // taps of a line: 3 · triples + singles
  int64_t depth;                               // channels of a group
  const float* weights;
  VecF32 bias;
  float* y;
  int64_t y_step, count, lanes;  // pixels and filters to write
  Activation activation;
};

// Pixels of the tiles; the largest keeps both multipliers busy.
constexpr int kMostPixels = kVectorRegisters == 32 ? 14 : 8;
constexpr int kTilePixels[] = {kMostPixels, kMostPixels / 2, kMostPixels / 4};

using TileFunction = void (*)(const Tile&);

// By the size of the tile. `width` is that of a group for the spread form, 0 for a broadcast, 1 for expanded bands;
// stride that of neighbouring taps taken by three, at most 2, and 0 where single taps are all there is.
const TileFunction* tiles_of(int64_t width, int64_t stride);

}  // namespace grouped
}  // namespace GK_LEVEL
}  // namespace graphopt
