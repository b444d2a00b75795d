// trilu: the matrices in the last two dims with zeros below (`upper` 1, the default) or above diagonal k (input 1).
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.empty() || call.inputs.size() > 2 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes matrices and a diagonal");
  }
  if (call.inputs[0].type.dims.rank < 2) return call.fail("no matrix in " + text_of(call.inputs[0].type.dims));
  if (call.has(1)) {
    const TensorType& k = call.inputs[1].type;
    if (k.dtype.code != GK_INT || k.dtype.bits != 64 || element_count(k.dims) != 1) {
      return call.fail("the diagonal is not one int64");
    }
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_trilu;
const OpDef op_trilu = {.name = "trilu", .shapes = shapes, .in_place = 1};

}  // namespace graphopt
