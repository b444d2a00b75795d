// tile: the input repeated along each axis, as often as input 1 says.
#include "executor/op.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 2 || !call.has(0) || !call.has(1) || call.outputs.size() != 1) {
    return call.fail("takes an input and repeats");
  }
  std::vector<int64_t> repeats;
  TensorType& to = call.outputs[0];
  to = call.inputs[0].type;
  if (!call.integers(1, &repeats)) return call.fail("the repeats are not known");
  if (repeats.size() != static_cast<size_t>(to.dims.rank)) return call.fail("not as many repeats as axes");
  for (int i = 0; i < to.dims.rank; ++i) {
    const int64_t repeat = repeats[static_cast<size_t>(i)];
    if (repeat < 0 || __builtin_mul_overflow(to.dims[i], repeat, &to.dims[i])) {
      return call.fail("repeat " + std::to_string(repeat) + " of dim " + std::to_string(i) + " does not fit");
    }
  }
  if (element_count(to.dims) < 0) return call.fail("too many elements in " + text_of(to.dims));
  return true;
}

}  // namespace

extern const OpDef op_tile;
const OpDef op_tile = {.name = "tile", .shapes = shapes, .strided_inputs = 1, .strided_outputs = 1};

}  // namespace graphopt
