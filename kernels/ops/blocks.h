// Dims of depth_to_space and space_to_depth, which are each other's inverse.
#pragma once

#include "executor/op.h"

namespace graphopt {

// Channels become pixels, or pixels channels: what a dim loses in blocks another one gains.
inline bool block_shapes(ShapeCall& call, bool to_pixels) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  const int64_t block = call.attributes.integer("blocksize", 0);
  if (to.dims.rank != 4 || block < 1 || block > 1 << 15) return call.fail("takes four dims and a blocksize");
  const bool last = call.attributes.integer("channels_last", 0) != 0;
  const int channel = last ? 3 : 1, row = last ? 1 : 2;
  const int64_t in_block[3] = {block * block, block, block};
  for (int i = 0; i < 3; ++i) {
    int64_t& dim = to.dims[i == 0 ? channel : row + i - 1];
    if (to_pixels != (i == 0)) {
      if (__builtin_mul_overflow(dim, in_block[i], &dim)) return call.fail("too many elements");
    } else {
      if (dim % in_block[i] != 0) return call.fail("there are no whole blocks in " + text_of(call.inputs[0].type.dims));
      dim /= in_block[i];
    }
  }
  return element_count(to.dims) >= 0 || call.fail("too many elements");
}

}  // namespace graphopt
