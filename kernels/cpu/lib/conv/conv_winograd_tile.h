// The transforms of conv_winograd.h, one tile or one channel at a time, vectorised over channels.
#pragma once

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kWinogradPositions = 16;

// V of one tile: v[position · step + c] = (Bᵀ d B)[position], c < channels. d[4 · row + col] points at the channels of
// an input pixel. Writes whole vectors.
void winograd_input(const float* const* d, int64_t channels, float* v, int64_t step);

// The same where the four pixels of a line follow each other: lines[row] points at the first one, the next is
// x_step floats further.
void winograd_input_lines(const float* const* lines, int64_t x_step, int64_t channels, float* v, int64_t step);

// Where the four results of a tile go, y[row · row_step + col · col_step + f], and what is done to them on the way:
// min(max(y + bias + addend, low), high). rows × cols of the four exist.
struct WinogradOutput {
  float* y;
  int64_t row_step, col_step;
  int64_t rows, cols;
  const float *bias, *addend;  // either may be null
  int64_t addend_row_step, addend_col_step;
  bool clamp;
  float low, high;
};

// Aᵀ m A of one tile; m[position · step + f], f < filters.
void winograd_output(const float* m, int64_t step, int64_t filters, const WinogradOutput& to);

// G g Gᵀ of kLanes filters: g[tap][filter] to u[position · step + filter].
void winograd_weights(const float (&g)[9][kLanes], float* u, int64_t step);

}  // namespace GK_LEVEL
}  // namespace graphopt
