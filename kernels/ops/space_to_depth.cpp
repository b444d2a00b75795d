// space_to_depth: blocks of blocksize × blocksize pixels become channels: [N, C, H, W] to [N, C·b², H/b, W/b]; with
#include "ops/blocks.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) { return block_shapes(call, false); }

}  // namespace

extern const OpDef op_space_to_depth;
const OpDef op_space_to_depth = {
    .name = "space_to_depth", .shapes = shapes, .strided_inputs = 1, .strided_outputs = 1};

}  // namespace graphopt
