#include "cpu/lib/conv/conv_activation.h"

#include "cpu/lib/elementwise/program.h"

namespace graphopt {
namespace GK_LEVEL {

bool read_activation(const Epilogue& epilogue, Activation* activation) {
  const float infinity = __builtin_inff();
  *activation = {-infinity, infinity, false, false, 1.0f, 0.0f};
  if (epilogue.form == kEpilogueNone) return true;
  activation->low = epilogue.low;
  activation->high = epilogue.high;
  if (epilogue.form == kEpilogueClamp) return true;
  activation->low = -infinity;
  activation->high = infinity;
  const EpilogueInstruction* steps = epilogue.instructions;
  const int count = epilogue.instruction_count, first = 1 + epilogue.operand_count;
  if (count < 1 || count > 3 || steps[0].opcode != program::kOp_hard_swish || steps[0].a != 0) return false;
  int value = steps[0].dst;
  for (int i = 1; i < count; ++i) {
    const EpilogueInstruction& step = steps[i];
    const int constant = (step.a == value ? step.b : step.a) - first;
    const bool fits = (step.a == value || step.b == value) && constant >= 0 && constant < epilogue.constant_count;
    if (!fits || (step.opcode != program::kOp_add && (step.opcode != program::kOp_mul || i != 1))) return false;
    (step.opcode == program::kOp_mul ? activation->scale : activation->shift) = epilogue.constants[constant];
    if (step.opcode == program::kOp_add && i + 1 != count) return false;
    activation->affine = true;
    value = step.dst;
  }
  activation->swish = value == epilogue.result;
  return activation->swish;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
