// float16 and bfloat16 instructions: every one computed in float32 and rounded, as ONNX's operators one by one.
#include "cpu/lib/elementwise/program_scalar.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

constexpr int64_t kChunk = 256;

// `type`: kF16 or kBF16.
template <Type type>
void run_half(const Block& block) {
  float wide[4][kChunk];
  const F32Function function = f32_function(block.opcode);
  const BlockFunction widen = cast_function(type, kF32), narrow = cast_function(kF32, type);
  const int arity = arity_of(block.opcode);
  for (int64_t begin = 0; begin < block.n; begin += kChunk) {
    const int64_t n = block.n - begin < kChunk ? block.n - begin : kChunk;
    Rows rows[3] = {};
    for (int k = 0; k < arity; ++k) {
      widen({wide[k], {static_cast<const uint16_t*>(block.in[k]) + begin, nullptr, nullptr}, n, 0, 0, 0});
      rows[k] = {wide[k], 0, 1};
    }
    if (function != nullptr) {
      function(wide[3], 0, rows, 1, n);
      narrow({static_cast<uint16_t*>(block.dst) + begin, {wide[3], nullptr, nullptr}, n, 0, 0, 0});
    } else {
      Block inner = {static_cast<uint8_t*>(block.dst) + begin, {wide[0], wide[1], wide[2]}, n, block.opcode, kF32, 0};
      compare_function(block.opcode, kF32)(inner);
    }
  }
}

}  // namespace

BlockFunction half_function(int opcode, int type) {
  if (f32_function(opcode) == nullptr && compare_function(opcode, kF32) == nullptr) return nullptr;
  return type == kF16 ? run_half<kF16> : run_half<kBF16>;
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
