// gather_nd: the slices of input 0 that the index tuples in the last dim of input 1 name, after `batch_dims` dims that
// both share.
#include "ops/indexed.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!takes_gather(call)) return false;
  const Dims &from = call.inputs[0].type.dims, &indices = call.inputs[1].type.dims;
  const int64_t batch = call.attributes.integer("batch_dims", 0);
  if (from.rank < 1 || indices.rank < 1 || batch < 0 || batch >= from.rank || batch >= indices.rank) {
    return call.fail("batch_dims does not fit " + text_of(from) + " and " + text_of(indices));
  }
  for (int i = 0; i < batch; ++i) {
    if (from[i] != indices[i]) return call.fail("the batches differ: " + text_of(from) + ", " + text_of(indices));
  }
  const int64_t depth = indices[indices.rank - 1];
  if (depth < 1 || depth > from.rank - batch) {
    return call.fail("index tuples of " + std::to_string(depth) + " do not fit " + text_of(from));
  }
  const int first = static_cast<int>(batch + depth);
  if (indices.rank - 1 + from.rank - first > kMaxRank) return call.fail("more than 8 dims");
  TensorType& to = call.outputs[0];
  to = {call.inputs[0].type.dtype, {}};
  for (int i = 0; i < indices.rank - 1; ++i) to.dims[to.dims.rank++] = indices[i];
  for (int i = first; i < from.rank; ++i) to.dims[to.dims.rank++] = from[i];
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_gather_nd;
const OpDef op_gather_nd = {.name = "gather_nd", .shapes = shapes};

}  // namespace graphopt
