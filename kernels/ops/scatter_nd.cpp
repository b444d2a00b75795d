// scatter_nd: input 0 with the slices of input 2 put, or added, multiplied, …, at the index tuples in the last dim of
// input 1.
#include "ops/indexed.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!takes_scatter(call)) return false;
  const Dims &from = call.inputs[0].type.dims, &indices = call.inputs[1].type.dims,
             &updates = call.inputs[2].type.dims;
  if (indices.rank < 1 || from.rank < 1) return call.fail("a scalar has no index tuples");
  const int64_t depth = indices[indices.rank - 1];
  if (depth < 1 || depth > from.rank) {
    return call.fail("index tuples of " + std::to_string(depth) + " do not fit " + text_of(from));
  }
  bool fits = updates.rank == indices.rank - 1 + from.rank - static_cast<int>(depth);
  for (int i = 0; fits && i < updates.rank; ++i) {
    const int beyond = i - (indices.rank - 1);
    fits = updates[i] == (beyond < 0 ? indices[i] : from[static_cast<int>(depth) + beyond]);
  }
  if (!fits) {
    return call.fail("indices " + text_of(indices) + " and updates " + text_of(updates) + " do not fit " +
                     text_of(from));
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_scatter_nd;
const OpDef op_scatter_nd = {.name = "scatter_nd", .shapes = shapes, .in_place = 1};

}  // namespace graphopt
