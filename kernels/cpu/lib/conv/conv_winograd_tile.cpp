#include "cpu/lib/conv/conv_winograd_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

#define GK_INLINE inline __attribute__((always_inline))

// Bᵀ d of one line of four.
GK_INLINE void input_line(VecF32 d0, VecF32 d1, VecF32 d2, VecF32 d3, VecF32* to) {
  to[0] = d0 - d2;
  to[1] = d1 + d2;
  to[2] = d2 - d1;
  to[3] = d1 - d3;
}

template <bool whole>
GK_INLINE VecF32 load_channels(const float* from, int64_t count) {
  return whole ? load_lanes(from) : load_part(from, count);
}

// The rows of V from Bᵀ d by column.
GK_INLINE void store_input(const VecF32 (&columns)[4][4], float* v, int64_t step) {
  float* const rows[4] = {v, v + 4 * step, v + 8 * step, v + 12 * step};
#pragma GCC unroll 4
  for (int row = 0; row < 4; ++row) {
    VecF32 to[4];
    input_line(columns[0][row], columns[1][row], columns[2][row], columns[3][row], to);
    store_lanes(rows[row], to[0]);
    store_lanes(rows[row] + step, to[1]);
    store_lanes(rows[row] + 2 * step, to[2]);
    store_lanes(rows[row] + 3 * step, to[3]);
  }
}

template <bool whole>
GK_INLINE void input_vector(const float* const* d, int64_t c, int64_t count, float* v, int64_t step) {
  VecF32 columns[4][4];
#pragma GCC unroll 4
  for (int col = 0; col < 4; ++col) {
    input_line(load_channels<whole>(d[col] + c, count), load_channels<whole>(d[4 + col] + c, count),
               load_channels<whole>(d[8 + col] + c, count), load_channels<whole>(d[12 + col] + c, count), columns[col]);
  }
  store_input(columns, v + c, step);
}

template <bool whole>
GK_INLINE void input_vector_of_lines(const float* const (&lines)[4], int64_t x_step, int64_t c, int64_t count, float* v,
                                     int64_t step) {
  VecF32 columns[4][4];
#pragma GCC unroll 4
  for (int col = 0; col < 4; ++col) {
    const int64_t at = col * x_step + c;
    input_line(load_channels<whole>(lines[0] + at, count), load_channels<whole>(lines[1] + at, count),
               load_channels<whole>(lines[2] + at, count), load_channels<whole>(lines[3] + at, count), columns[col]);
  }
  store_input(columns, v + c, step);
}

// Aᵀ m of one line of four.
GK_INLINE void output_line(VecF32 m0, VecF32 m1, VecF32 m2, VecF32 m3, VecF32* first, VecF32* second) {
  *first = m0 + m1 + m2;
  *second = m1 - m2 - m3;
}

GK_INLINE void output_vector(const float* m, int64_t step, VecF32 bias, VecF32 (&y)[2][2]) {
  VecF32 columns[2][4];
#pragma GCC unroll 4
  for (int col = 0; col < 4; ++col) {
    output_line(load_lanes(m + col * step), load_lanes(m + (4 + col) * step), load_lanes(m + (8 + col) * step),
                load_lanes(m + (12 + col) * step), &columns[0][col], &columns[1][col]);
  }
#pragma GCC unroll 2
  for (int row = 0; row < 2; ++row) {
    output_line(columns[row][0], columns[row][1], columns[row][2], columns[row][3], &y[row][0], &y[row][1]);
    y[row][0] += bias;
    y[row][1] += bias;
  }
}

template <bool whole>
GK_INLINE void finish(VecF32 y, const WinogradOutput& to, int64_t row, int64_t col, int64_t f, int64_t count) {
  if (to.addend != nullptr) {
    const float* addend = to.addend + row * to.addend_row_step + col * to.addend_col_step + f;
    y += whole ? load_lanes(addend) : load_part(addend, count);
  }
  // Comparisons with NaN are false: it stays.
  if (to.clamp) {
    y = y < splat(to.low) ? splat(to.low) : y;
    y = y > splat(to.high) ? splat(to.high) : y;
  }
  float* at = to.y + row * to.row_step + col * to.col_step + f;
  if (whole) {
    store_lanes(at, y);
  } else {
    store_part(at, y, count);
  }
}

// G g of one column of three.
GK_INLINE void weights_line(VecF32 g0, VecF32 g1, VecF32 g2, VecF32* to, int step) {
  const VecF32 outer = 0.5f * (g0 + g2), inner = 0.5f * g1;
  to[0] = g0;
  to[step] = outer + inner;
  to[2 * step] = outer - inner;
  to[3 * step] = g2;
}

}  // namespace

void winograd_input(const float* const* d, int64_t channels, float* v, int64_t step) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) input_vector<true>(d, c, kLanes, v, step);
  if (c < channels) input_vector<false>(d, c, channels - c, v, step);
}

void winograd_input_lines(const float* const* lines, int64_t x_step, int64_t channels, float* v, int64_t step) {
  const float* const from[4] = {lines[0], lines[1], lines[2], lines[3]};
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) input_vector_of_lines<true>(from, x_step, c, kLanes, v, step);
  if (c < channels) input_vector_of_lines<false>(from, x_step, c, channels - c, v, step);
}

void winograd_output(const float* m, int64_t step, int64_t filters, const WinogradOutput& to) {
  const bool whole_tile = to.rows == 2 && to.cols == 2;
  for (int64_t f = 0; f < filters; f += kLanes) {
    const int64_t count = filters - f < kLanes ? filters - f : kLanes;
    VecF32 y[2][2], bias = {};
    if (to.bias != nullptr) bias = count == kLanes ? load_lanes(to.bias + f) : load_part(to.bias + f, count);
    output_vector(m + f, step, bias, y);
    if (whole_tile && count == kLanes) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) finish<true>(y[i / 2][i % 2], to, i / 2, i % 2, f, kLanes);
      continue;
    }
    finish<false>(y[0][0], to, 0, 0, f, count);
    if (to.cols == 2) finish<false>(y[0][1], to, 0, 1, f, count);
    if (to.rows == 2) finish<false>(y[1][0], to, 1, 0, f, count);
    if (to.rows == 2 && to.cols == 2) finish<false>(y[1][1], to, 1, 1, f, count);
  }
}

void winograd_weights(const float (&g)[9][kLanes], float* u, int64_t step) {
  VecF32 columns[12];  // G g: 4 rows of 3
  for (int col = 0; col < 3; ++col) {
    weights_line(load_lanes(g[col]), load_lanes(g[3 + col]), load_lanes(g[6 + col]), columns + col, 3);
  }
  for (int row = 0; row < 4; ++row) {
    VecF32 to[4];
    weights_line(columns[3 * row], columns[3 * row + 1], columns[3 * row + 2], to, 1);
    for (int col = 0; col < 4; ++col) store_lanes(u + (4 * row + col) * step, to[col]);
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
