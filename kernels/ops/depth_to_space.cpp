// depth_to_space: blocks of blocksize² channels become blocksize × blocksize pixels: [N, C, H, W] to
// [N, C/b², H·b, W·b]; with `channels_last`, [N, H, W, C] to [N, H·b, W·b, C/b²].
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 1 || !call.has(0) || call.outputs.size() != 1) return call.fail("takes one input");
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  const int64_t block = call.attributes.integer("blocksize", 0);
  const std::string_view mode = call.attributes.text("mode", "DCR");
  if (to.dims.rank != 4 || block < 1 || block > 1 << 15) return call.fail("takes four dims and a blocksize");
  if (mode != "DCR" && mode != "CRD") return call.fail("no such mode");
  const bool last = call.attributes.integer("channels_last", 0) != 0;
  const int channel = last ? 3 : 1, row = last ? 1 : 2;
  if (to.dims[channel] % (block * block) != 0) return call.fail("the channels are not whole blocks");
  to.dims[channel] /= block * block;
  if (__builtin_mul_overflow(to.dims[row], block, &to.dims[row]) ||
      __builtin_mul_overflow(to.dims[row + 1], block, &to.dims[row + 1]) || element_count(to.dims) < 0) {
    return call.fail("too many elements");
  }
  return true;
}

}  // namespace

extern const OpDef op_depth_to_space;
const OpDef op_depth_to_space = {
    .name = "depth_to_space", .shapes = shapes, .strided_inputs = 1, .strided_outputs = 1};

}  // namespace graphopt
