// group_norm(X, scale, bias, extra…): X [N, C, spatial…], or [N, spatial…, C] with channels_last; scale and bias [C]. Instance
// normalisation is groups of one channel. Extra inputs belong to the epilogue.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || !call.has(2) || call.outputs.size() != 1) return call.fail("group_norm takes X, scale and bias");
  const Dims& x = call.inputs[0].type.dims;
  if (x.rank < 2) return call.fail("group_norm: X " + text_of(x) + " has no channels");
  const int64_t channels = call.attributes.integer("channels_last", 0) != 0 ? x[x.rank - 1] : x[1];
  const int64_t groups = call.attributes.integer("num_groups", channels);
  if (groups < (channels == 0 ? 0 : 1) || (groups > 0 && channels % groups != 0)) return call.fail("group_norm: channels are no multiple of the groups");
  for (size_t i = 1; i < 3; ++i) {
    const Dims& dims = call.inputs[i].type.dims;
    if (dims.rank != 1 || dims[0] != channels) return call.fail("group_norm: scale and bias are one number per channel");
  }
  call.outputs[0] = call.inputs[0].type;
  return true;
}

}  // namespace

extern const OpDef op_group_norm;
const OpDef op_group_norm = {
    .name = "group_norm", .shapes = shapes, .row_strided_inputs = 1, .rows_if = "channels_last"};

}  // namespace graphopt
