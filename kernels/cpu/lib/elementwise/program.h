// Elementwise programs: the instructions of opcodes.def over registers, and the functions that run one instruction
// on a block of elements that stays in the first-level cache.
//
// attributes of a step  program  [opcode, dtype, dst, a, b, c] per instruction, unused operands -1
// registers  the inputs in order, then the constants, then temporaries; each temporary is written once, before
//            it is read. An input has its tensor's dtype, a constant that of the instruction that reads it.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {

enum Opcode : uint8_t {
#define GK_OPCODE(number, name, arity) kOp_##name = number,
#include "cpu/lib/elementwise/opcodes.def"
#undef GK_OPCODE
};

constexpr int kMaxOpcode = 255;

// ONNX TensorProto.DataType of what a register can hold.
enum Type : uint8_t {
  kNoType = 0,
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kU32 = 12,
  kU64 = 13,
  kBF16 = 16,
};

int arity_of(int opcode);     // 0: there is no such instruction
int bytes_of_type(int type);  // 0: no such type
Type type_of(const gk_dtype& dtype);
bool is_half(int type);       // float16 and bfloat16: computed in float32, rounded after every instruction

constexpr int kMaxInputs = 12, kMaxOutputs = 4, kMaxInstructions = 64, kMaxConstants = 24;
constexpr int kMaxRegisters = kMaxInputs + kMaxConstants + kMaxInstructions;
constexpr uint8_t kUnused = 255;

struct Instruction {
  uint8_t opcode, type, dst, a, b, c; // cast: c is the target type
};

// A checked program whose temporaries share slots: registers are the inputs, the constants, then slots.
struct Program {
  uint8_t input_count, constant_count, instruction_count, slot_count;
  uint8_t slot_bytes; // of one element of the widest slot
  Instruction instructions[kMaxInstructions];
};

// The element type an instruction's result has.
Type result_type(const Instruction& instruction);

// Checks `ints` and fills *program; results[i] becomes the register of output i once slots are assigned
// (temporaries that are results keep their slot to the end). result_types[i] is kNoType for a constant.
// GK_INVALID_ARGUMENT where it is no program for these inputs, GK_UNSUPPORTED past a limit or where there is no
// code for an instruction with its type.
int read_program(Ints ints, const Type* input_types, int input_count, int constant_count, int result_count,
                 int64_t* results, Type* result_types, Program* program);

// ---- running one instruction ----

// Rows of float32: step 1 for contiguous columns, 0 where the row is one value.
struct Rows {
  const float* data;
  int64_t stride; // of rows
  int64_t step;
};

// dst[r * dst_stride + c] = f(in[0][r][c], …); dst may be an operand.
using F32Function = void (*)(float* dst, int64_t dst_stride, const Rows* in, int64_t rows, int64_t cols);

// Null for comparisons, where, cast and what float32 does not have.
F32Function f32_function(int opcode);
F32Function f32_arithmetic(int opcode);
F32Function f32_math(int opcode);

// Any type: n contiguous elements of each operand. dst may be an operand of the same element size.
struct Block {
  void* dst;
  const void* in[3];
  int64_t n;
  uint8_t opcode, type, target;
};
using BlockFunction = void (*)(const Block& block);

// Null where there is no code. float32 instructions that f32_function knows are not among them.
BlockFunction block_function(int opcode, int type, int target);
BlockFunction integer_function(int opcode, int type);
BlockFunction float64_function(int opcode);
BlockFunction half_function(int opcode, int type);
BlockFunction compare_function(int opcode, int type);
BlockFunction logic_function(int opcode, int type);
BlockFunction cast_function(int from, int to);

// value as n elements of a type.
void fill_block(void* dst, int type, double value, int64_t n);

// Relative to one addition, the time an instruction takes: what work is worth sharing.
int cost_of(int opcode, int type);

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
