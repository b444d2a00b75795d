// The epilogue of a group norm that is folded into what it multiplies by and adds.
#pragma once

#include "cpu/lib/elementwise/epilogue.h"
#include "cpu/lib/elementwise/program.h"

namespace graphopt {
namespace GK_LEVEL {
namespace group_norm_fold {

enum Activation : int32_t { kNone, kClamp, kSilu };

// An epilogue y = activation(x · factor + shift), with numbers per image and channel, costs nothing: they are part of
// what normalises anyway, and the activation is done in registers.
struct Folded {
  bool folds;
  int8_t factor, shift;  // extra operands, or -1
  Activation activation;
};

inline Folded fold(const Epilogue& epilogue, bool channels_last) {
  Folded folded = {false, -1, -1, kNone};
  if (epilogue.form == kEpilogueNone || epilogue.form == kEpilogueClamp) {
    return {true, -1, -1, epilogue.form == kEpilogueNone ? kNone : kClamp};
  }
  if (!epilogue_is_tiled(epilogue)) return folded;
  int value = 0;
  for (int i = 0; i < epilogue.instruction_count; ++i) {
    const EpilogueInstruction& step = epilogue.instructions[i];
    const bool last = i + 1 == epilogue.instruction_count;
    if (step.opcode == program::kOp_silu && step.a == value && last) {
      folded.activation = kSilu;
    } else if (step.opcode == program::kOp_mul || step.opcode == program::kOp_add) {
      if (step.a != value && step.b != value) return folded;
      const int operand = (step.a == value ? step.b : step.a) - 1;
      if (operand < 0 || operand >= epilogue.operand_count || folded.shift >= 0) return folded;
      if (step.opcode == program::kOp_mul && folded.factor >= 0) return folded;
      const EpilogueOperand& strides = epilogue.operands[operand];
      if ((channels_last ? strides.row_stride : strides.col_stride) != 0) return folded;
      (step.opcode == program::kOp_mul ? folded.factor : folded.shift) = static_cast<int8_t>(operand);
    } else {
      return folded;
    }
    value = step.dst;
  }
  folded.folds = value == epilogue.result;
  return folded;
}

}  // namespace group_norm_fold
}  // namespace GK_LEVEL
}  // namespace graphopt
