// Shapes of lstm, gru and rnn.
#pragma once

#include "executor/op.h"

namespace graphopt {

// X [steps, batch, inputs], R [directions, gates · hidden, hidden] → Y [steps, directions, batch, hidden] and states
// [directions, batch, hidden]; layout 1: the batch comes first in all of them but R.
inline bool recurrent_shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || !call.has(2) || call.outputs.empty() || call.outputs.size() > 3) {
    return call.fail("takes X, W and R and gives 1 to 3 outputs");
  }
  const Dims &x = call.inputs[0].type.dims, &r = call.inputs[2].type.dims;
  if (x.rank != 3 || r.rank != 3) return call.fail("X and R are 3-D, not " + text_of(x) + " and " + text_of(r));
  const bool batch_first = call.attributes.integer("layout", 0) != 0;
  const int64_t directions = r[0], hidden = r[2], steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1];
  const gk_dtype dtype = call.inputs[0].type.dtype;
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    Dims dims = {3, {directions, batch, hidden}};
    if (i > 0 && batch_first) dims = {3, {batch, directions, hidden}};
    if (i == 0) dims = {4, {steps, directions, batch, hidden}};
    if (i == 0 && batch_first) dims = {4, {batch, steps, directions, hidden}};
    call.outputs[i] = {dtype, dims};
  }
  return true;
}

}  // namespace graphopt
