// Convolution with few channels or few filters: lines of X are copied with their padding into a band that stays in
// the cache, where the taps of one kernel line are neighbours.
//
//   y[pixel][m] = epilogue(bias[m] + Σ_line Σ_i band[line][pixel · stride · C + i] · w[m][line][i]), i < width · C
//
// With few channels a product of kernel lines is much longer than one of single taps. With fewer filters than a vector
// has lanes, `fold` neighbouring pixels are taken as the columns of one row: its sums run over the union of their
// windows, with zeros in W where a pixel's window does not reach, so kernels much wider than fold · stride waste
// little. An infinity or NaN times such a zero would spread, so bands that hold one are computed plainly.
// With one filter or two and enough to sum, lanes run along the sum instead (conv_dot.h).
// Bytes moved: X once and the overlap of bands, Y once, W once per band.
#pragma once

#include "cpu/lib/conv/conv_shape.h"
#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

struct LinesPlan {
  int32_t dot;         // lanes run along the sum
  int32_t fold;        // pixels of one row of the product
  int64_t lines;       // lines of Y in a band
  int64_t pixels;      // pixels of each of them: all, or a multiple of fold
  int64_t band_lines;  // lines of X in a band, for one depth
  int64_t line_floats;
};

// Whether this form is faster than the indirect one.
bool lines_pay(const ConvShape& shape);

void prepare_lines(const gk_call* call, const ConvShape& shape, LinesPlan* plan);

int64_t lines_packed_bytes(const ConvShape& shape, const LinesPlan& plan);
// Distinguishes packings of the same weights.
uint64_t lines_format(const LinesPlan& plan);
void pack_lines(const ConvShape& shape, const LinesPlan& plan, const float* weights, float* packed);

int64_t lines_workspace_bytes(const gk_call* call, const ConvShape& shape, const LinesPlan& plan);

// One parallel region. The epilogue sees Y as [outer, rows, filters]; one that is not tiled is left to the caller.
int run_lines(const gk_call* call, const ConvShape& shape, const LinesPlan& plan, const float* packed,
              const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace);

}  // namespace GK_LEVEL
}  // namespace graphopt
