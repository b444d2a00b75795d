// The shape of a convolution, read and checked from a call.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

// Sizes of X [batch, in…, channels], W [filters, channels / group, kernel…], Y [batch, out…, filters], always with
// three spatial axes: depth, height, width. Shorter convolutions have leading axes of one.
struct ConvShape {
  int64_t batch, channels, filters, group;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
  int64_t pad[3];         // before the first element; may be negative
  int64_t x_step, y_step; // floats from one pixel to the next, lines and images without gaps: at least the channels

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t pixels() const { return out[0] * out[1] * out[2]; } // of one image of Y
  int64_t group_channels() const { return channels / group; }
  int64_t group_filters() const { return filters / group; }
  bool is_empty() const { return batch == 0 || filters == 0 || pixels() == 0; }
};

// Checks X, W, bias and Y of a call (inputs 0 to 2, output 0; all float32) against its attributes. Pixels of X and Y
// may be further apart than their channels; everything else is compact.
int read_conv_shape(const gk_call* call, ConvShape* shape);

// Whether every output pixel is a row of a matrix product of X as it lies in memory.
bool is_matrix_product(const ConvShape& shape);

// Multiplications plus additions.
inline double conv_flops(const ConvShape& shape) {
  return 2.0 * static_cast<double>(shape.batch * shape.pixels()) * static_cast<double>(shape.filters) *
         static_cast<double>(shape.taps() * shape.group_channels());
}

}  // namespace GK_LEVEL
}  // namespace graphopt
