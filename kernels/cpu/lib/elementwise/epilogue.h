// Epilogue: what a matrix product, convolution or norm does to its result while that is still in the cache:
// an elementwise program (program.h, float32 only) over the result and further operands of the same step.
//
// attributes  epilogue           [opcode, dtype, dst, a, b, c] per instruction; none or empty: no epilogue
//             epilogue_constants floats
//             epilogue_result    the register that leaves (default 0)
//             epilogue_first     which input of the step is the first extra operand (default: none is)
// registers   0: the result with its bias; then the extra operands; then the constants; then temporaries
//
// The output is seen as [outer, rows, cols], any split of its compact dims. An operand is tiled when it
// broadcasts to the output with one stride for each of the three; then the epilogue can be applied tile by
// tile. One operand that is not makes the whole epilogue a second pass, inside the same kernel call:
//
//   prepare:  status = prepare_epilogue(call, outer, rows, cols, &state->epilogue);
//   run:      per tile:  if (epilogue_is_tiled(e)) apply_epilogue(e, call, tile, ld, outer, row0, rows, col0, cols);
//             at the end: if (!epilogue_is_tiled(e)) return apply_epilogue_whole(e, call);
//
// Kernels that hold the tile in registers can do form None, Clamp and AddClamp there: y = min(max(x + r, low),
// high) with r read from add_operand() (NaN stays NaN: see clamp() in vmath.h).
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kMaxEpilogueOperands = 6, kMaxEpilogueConstants = 16, kMaxEpilogueInstructions = 16;

enum EpilogueForm : int32_t {
  kEpilogueNone,     // y = x
  kEpilogueClamp,    // y = min(max(x, low), high): relu, relu6, clip
  kEpilogueAddClamp, // y = min(max(x + operand 0, low), high); without a clamp low and high are infinite
  kEpilogueProgram,  // anything else
};

struct EpilogueInstruction {
  uint8_t opcode, dst, a, b, c, unused;
};

// Where element [outer, row, col] of an extra operand lies, in elements. Strides of dims it broadcasts over are 0.
struct EpilogueOperand {
  int64_t outer_stride, row_stride, col_stride;
};

// Plain bytes: part of a kernel's state.
struct Epilogue {
  EpilogueForm form;
  int32_t tiled;
  float low, high;
  int32_t first_input, operand_count, constant_count, instruction_count, result, temporary_count;
  EpilogueOperand operands[kMaxEpilogueOperands];
  float constants[kMaxEpilogueConstants];
  EpilogueInstruction instructions[kMaxEpilogueInstructions];
};
static_assert(sizeof(Epilogue) <= 352, "kernels keep it in their state");

// Reads and checks the call's epilogue. outer * rows * cols elements are output 0, in its order (outer and cols may
// be 1); GK_INVALID_ARGUMENT for a program that is none or operands that do not broadcast, GK_UNSUPPORTED for
// one past the limits above or not float32.
int prepare_epilogue(const gk_call* call, int64_t outer, int64_t rows, int64_t cols, Epilogue* epilogue);

inline bool epilogue_is_tiled(const Epilogue& epilogue) { return epilogue.tiled != 0; }

// Whether anything is left to do after the bias.
inline bool has_epilogue(const Epilogue& epilogue) { return epilogue.form != kEpilogueNone; }

// In place on a tile: tile[r * ld + c] is output element [outer, row0 + r, col0 + c]. Needs tiled.
void apply_epilogue(const Epilogue& epilogue, const gk_call* call, float* tile, int64_t ld, int64_t outer, int64_t row0,
                    int64_t rows, int64_t col0, int64_t cols);

// In place on output 0, all of it, on the caller's threads; any epilogue.
int apply_epilogue_whole(const Epilogue& epilogue, const gk_call* call);

// The operand of form AddClamp at [outer, row0, col0]; its next row is row_stride further, its next column
// operands[0].col_stride (0 or 1 where the form is AddClamp).
inline const float* add_operand(const Epilogue& epilogue, const gk_call* call, int64_t outer, int64_t row0, int64_t col0) {
  const EpilogueOperand& operand = epilogue.operands[0];
  return data_of<const float>(call->inputs[epilogue.first_input]) + outer * operand.outer_stride +
         row0 * operand.row_stride + col0 * operand.col_stride;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
