// Blocks of pixels and the channels they become: depth_to_space and space_to_depth are one copy, read either way.
#pragma once

#include "cpu/lib/move/move.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

// Plans the copy between `deep` [N, C·b², H, W] and `wide` [N, C, H·b, W·b] (with the attribute channels_last, channels
// behind the pixels). Channel (bi·b + bj)·C + c is pixel (h·b + bi, w·b + bj) of channel c, or channel
// c·b² + bi·b + bj where `channel_first`. False where the two do not fit.
inline bool describe_blocks(const gk_call* call, const gk_tensor& deep, const gk_tensor& wide, bool channel_first,
                            bool to_wide, StridedCopy* copy) {
  if (!is_movable(deep) || !is_movable(wide) || !same_dtype(deep, wide) || deep.ndim != 4 || wide.ndim != 4) {
    return false;
  }
  const int64_t b = int_attribute(call, "blocksize", 0);
  if (b < 1 || b > 1 << 15) return false;
  const bool last = int_attribute(call, "channels_last", 0) != 0;
  const int channel = last ? 3 : 1, row = last ? 1 : 2, column = row + 1;
  const int64_t channels = wide.shape[channel];
  if (deep.shape[0] != wide.shape[0] || deep.shape[channel] % (b * b) != 0 ||
      deep.shape[channel] / (b * b) != channels || wide.shape[row] % b != 0 || wide.shape[column] % b != 0 ||
      wide.shape[row] / b != deep.shape[row] || wide.shape[column] / b != deep.shape[column]) {
    return false;
  }
  const int64_t deep_channel = stride_of(deep, channel), wide_row = stride_of(wide, row),
                wide_column = stride_of(wide, column);
  const int64_t deep_block = channel_first ? deep_channel : channels * deep_channel;
  // n, c, h, bi, w, bj
  const int64_t dims[6] = {deep.shape[0], channels, deep.shape[row], b, deep.shape[column], b};
  const int64_t deep_strides[6] = {stride_of(deep, 0),
                                   channel_first ? b * b * deep_channel : deep_channel,
                                   stride_of(deep, row),
                                   b * deep_block,
                                   stride_of(deep, column),
                                   deep_block};
  const int64_t wide_strides[6] = {stride_of(wide, 0), stride_of(wide, channel), b * wide_row,
                                   wide_row,           b * wide_column,          wide_column};
  *copy = to_wide ? describe_copy(6, dims, deep_strides, wide_strides, element_bytes(deep))
                  : describe_copy(6, dims, wide_strides, deep_strides, element_bytes(deep));
  return true;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
