// transpose: the dims of the input in the order `perm` (default: reversed); output axis i is input axis perm[i].
#include "executor/op.h"

namespace graphopt {
namespace {

// The permutation, or false where it is none of the input's axes.
bool permutation(const AttributeView& attributes, int rank, int* perm) {
  const std::span<const int64_t> given = attributes.integers("perm");
  if (!attributes.has("perm")) {
    for (int i = 0; i < rank; ++i) perm[i] = rank - 1 - i;
    return true;
  }
  if (given.size() != static_cast<size_t>(rank)) return false;
  uint32_t seen = 0;
  for (int i = 0; i < rank; ++i) {
    perm[i] = normalized_axis(given[static_cast<size_t>(i)], rank);
    if (perm[i] < 0 || (seen >> perm[i] & 1) != 0) return false;
    seen |= 1u << perm[i];
  }
  return true;
}

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  const TensorType& from = call.inputs[0].type;
  int perm[kMaxRank];
  if (!permutation(call.attributes, from.dims.rank, perm)) {
    return call.fail("perm is no permutation of the axes of " + text_of(from.dims));
  }
  call.outputs[0] = from;
  for (int i = 0; i < from.dims.rank; ++i) call.outputs[0].dims[i] = from.dims[perm[i]];
  return true;
}

bool view(ViewCall& call) {
  int perm[kMaxRank];
  if (!permutation(call.attributes, call.strides.rank, perm)) return false;
  call.views[0].strides.rank = call.strides.rank;
  call.views[0].offset = 0;
  for (int i = 0; i < call.strides.rank; ++i) call.views[0].strides[i] = call.strides[perm[i]];
  return true;
}

}  // namespace

extern const OpDef op_transpose;
const OpDef op_transpose = {.name = "transpose", .shapes = shapes, .view = view};

}  // namespace graphopt
