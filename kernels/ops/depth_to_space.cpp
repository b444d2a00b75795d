// depth_to_space: blocks of blocksize² channels become blocksize × blocksize pixels: [N, C, H, W] to
#include "ops/blocks.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  const std::string_view mode = call.attributes.text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return call.fail("no such mode");
  return block_shapes(call, true);
}

}  // namespace

extern const OpDef op_depth_to_space;
const OpDef op_depth_to_space = {
    .name = "depth_to_space", .shapes = shapes, .strided_inputs = 1, .strided_outputs = 1};

}  // namespace graphopt
