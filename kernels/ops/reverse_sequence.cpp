// reverse_sequence: the first sequence_lens[b] elements along `time_axis` of each batch b reversed, the others as they
// are. One of `batch_axis` (default 1) and `time_axis` (default 0) is 0, the other 1.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 2 || !call.has(0) || !call.has(1) || call.outputs.size() != 1) {
    return call.fail("takes an input and sequence lengths");
  }
  const Dims &from = call.inputs[0].type.dims, &lengths = call.inputs[1].type.dims;
  const int64_t batch = call.attributes.integer("batch_axis", 1), time = call.attributes.integer("time_axis", 0);
  if (from.rank < 2 || !((batch == 0 && time == 1) || (batch == 1 && time == 0))) {
    return call.fail("batch_axis and time_axis are not the first two axes of " + text_of(from));
  }
  const gk_dtype dtype = call.inputs[1].type.dtype;
  if (dtype.code != GK_INT || dtype.bits != 64 || lengths.rank != 1 || lengths[0] != from[static_cast<int>(batch)]) {
    return call.fail("the sequence lengths are not one int64 for each batch");
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_reverse_sequence;
const OpDef op_reverse_sequence = {.name = "reverse_sequence", .shapes = shapes};

}  // namespace graphopt
