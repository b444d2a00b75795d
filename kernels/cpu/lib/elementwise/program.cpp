// Reading and checking elementwise programs, and giving their temporaries slots.
#include "cpu/lib/elementwise/program.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {

int arity_of(int opcode) {
  switch (opcode) {
#define GK_OPCODE(number, name, arity) \
  case number:                         \
    return arity;
#include "cpu/lib/elementwise/opcodes.def"
#undef GK_OPCODE
    default:
      return 0;
  }
}

int bytes_of_type(int type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
    case kF16:
    case kBF16:
      return 2;
    case kF32:
    case kI32:
    case kU32:
      return 4;
    case kI64:
    case kU64:
    case kF64:
      return 8;
    default:
      return 0;
  }
}

Type type_of(const gk_dtype& dtype) {
  if (dtype.lanes != 1) return kNoType;
  const int bits = dtype.bits;
  switch (dtype.code) {
    case GK_FLOAT:
      return bits == 32 ? kF32 : bits == 16 ? kF16 : bits == 64 ? kF64 : kNoType;
    case GK_BFLOAT:
      return bits == 16 ? kBF16 : kNoType;
    case GK_BOOL:
      return bits == 8 ? kBool : kNoType;
    case GK_INT:
      return bits == 8 ? kI8 : bits == 16 ? kI16 : bits == 32 ? kI32 : bits == 64 ? kI64 : kNoType;
    case GK_UINT:
      return bits == 8 ? kU8 : bits == 16 ? kU16 : bits == 32 ? kU32 : bits == 64 ? kU64 : kNoType;
    default:
      return kNoType;
  }
}

bool is_half(int type) { return type == kF16 || type == kBF16; }

Type result_type(const Instruction& instruction) {
  const int opcode = instruction.opcode;
  if (opcode == kOp_cast) return static_cast<Type>(instruction.c);
  if (opcode >= kOp_equal && opcode <= kOp_is_inf_positive) return kBool;
  return static_cast<Type>(instruction.type);
}

F32Function f32_function(int opcode) {
  const F32Function found = f32_arithmetic(opcode);
  return found != nullptr ? found : f32_math(opcode);
}

BlockFunction block_function(int opcode, int type, int target) {
  if (opcode == kOp_cast) return cast_function(type, target);
  if (BlockFunction found = logic_function(opcode, type); found != nullptr) return found;
  if (opcode >= kOp_equal && opcode <= kOp_is_inf_positive) {
    return is_half(type) ? half_function(opcode, type) : compare_function(opcode, type);
  }
  if (is_half(type)) return half_function(opcode, type);
  if (type == kF64) return float64_function(opcode);
  return type == kF32 || type == kBool ? nullptr : integer_function(opcode, type);
}

int cost_of(int opcode, int type) {
  const bool slow = (opcode >= kOp_exp && opcode <= kOp_erf) || opcode == kOp_pow || opcode == kOp_mod ||
                    opcode == kOp_fmod || (opcode >= kOp_sigmoid && opcode <= kOp_mish && opcode != kOp_hard_swish);
  return type == kF32 ? (slow ? 8 : 1) : slow || opcode == kOp_div ? 32 : 2;
}

namespace {

// What is known of the registers while the program is read.
struct Reader {
  const Type* input_types;
  int input_count, constant_count;
  Type written[kMaxInstructions]; // types of temporaries, by instruction
  int register_of[kMaxInstructions];
  int count;

  // The instruction that wrote register `number`, or -1.
  int writer(int64_t number) const {
    for (int i = 0; i < count; ++i) {
      if (register_of[i] == number) return i;
    }
    return -1;
  }
  bool is_fixed(int64_t number) const { return number >= 0 && number < input_count + constant_count; }

  // Its type; kNoType for a constant, which takes any, and for a register never written.
  Type type(int64_t number) const {
    if (number < input_count) return input_types[number];
    const int by = writer(number);
    return by < 0 ? kNoType : written[by];
  }
  bool readable(int64_t number, int type_wanted) const {
    if (is_fixed(number)) return number >= input_count || input_types[number] == type_wanted;
    const int by = writer(number);
    return number >= 0 && by >= 0 && written[by] == type_wanted;
  }
};

bool has_code(const Instruction& instruction) {
  if (instruction.type == kF32 && f32_function(instruction.opcode) != nullptr) return true;
  return block_function(instruction.opcode, instruction.type, instruction.c) != nullptr;
}

// Slots for temporaries: one is free again after its last reader. `last[i]` is the last instruction that reads
// the result of instruction i.
void assign_slots(Program* program, const int* last, int (*operands)[3]) {
  const int first_slot = program->input_count + program->constant_count;
  int slot_of[kMaxInstructions] = {}, holder[kMaxInstructions] = {};
  int slots = 0;
  for (int i = 0; i < program->instruction_count; ++i) {
    Instruction& instruction = program->instructions[i];
    const int width = bytes_of_type(result_type(instruction));
    int chosen = -1;
    for (int s = 0; s < slots && chosen < 0; ++s) {
      const int by = holder[s];
      // The last reader may write over what it reads where the elements have the same size.
      const bool same_size = bytes_of_type(result_type(program->instructions[by])) == width &&
                             bytes_of_type(instruction.type) == width && instruction.opcode != kOp_where;
      if (last[by] < i || (last[by] == i && same_size)) chosen = s;
    }
    if (chosen < 0) chosen = slots++;
    holder[chosen] = i;
    slot_of[i] = chosen;
    instruction.dst = static_cast<uint8_t>(first_slot + chosen);
    uint8_t* const fields[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity_of(instruction.opcode); ++k) {
      if (operands[i][k] >= 0) *fields[k] = static_cast<uint8_t>(first_slot + slot_of[operands[i][k]]);
    }
    if (width > program->slot_bytes) program->slot_bytes = static_cast<uint8_t>(width);
  }
  program->slot_count = static_cast<uint8_t>(slots);
}

}  // namespace

int read_program(Ints ints, const Type* input_types, int input_count, int constant_count, int result_count,
                 int64_t* results, Type* result_types, Program* program) {
  *program = {};
  if (ints.length % 6 != 0 || constant_count < 0) return GK_INVALID_ARGUMENT;
  const int count = ints.length / 6;
  if (input_count > kMaxInputs || constant_count > kMaxConstants || count > kMaxInstructions) return GK_UNSUPPORTED;
  program->input_count = static_cast<uint8_t>(input_count);
  program->constant_count = static_cast<uint8_t>(constant_count);
  program->instruction_count = static_cast<uint8_t>(count);

  Reader reader = {input_types, input_count, constant_count, {}, {}, 0};
  int last[kMaxInstructions] = {}, operands[kMaxInstructions][3] = {};
  for (int i = 0; i < count; ++i) {
    const int64_t* line = ints.data + 6 * i;
    const int64_t opcode = line[0], type = line[1], dst = line[2];
    const int arity = opcode < 0 || opcode > kMaxOpcode ? 0 : arity_of(static_cast<int>(opcode));
    if (arity == 0 || type < 0 || type > 255 || bytes_of_type(static_cast<int>(type)) == 0) return GK_INVALID_ARGUMENT;
    if (dst < input_count + constant_count || dst > 1 << 20 || reader.writer(dst) >= 0) return GK_INVALID_ARGUMENT;
    Instruction& instruction = program->instructions[i];
    instruction = {static_cast<uint8_t>(opcode), static_cast<uint8_t>(type), 0, kUnused, kUnused, kUnused};
    uint8_t* const fields[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity; ++k) {
      const int64_t number = line[3 + k];
      const int wanted = opcode == kOp_where && k == 0 ? static_cast<int>(kBool) : static_cast<int>(type);
      if (!reader.readable(number, wanted)) return GK_INVALID_ARGUMENT;
      operands[i][k] = reader.is_fixed(number) ? -1 : reader.writer(number);
      if (operands[i][k] < 0) *fields[k] = static_cast<uint8_t>(number);
      if (operands[i][k] >= 0) last[operands[i][k]] = i;
    }
    if (opcode == kOp_cast) {
      if (line[5] < 0 || line[5] > 255 || bytes_of_type(static_cast<int>(line[5])) == 0) return GK_INVALID_ARGUMENT;
      instruction.c = static_cast<uint8_t>(line[5]);
    }
    if (!has_code(instruction)) return GK_UNSUPPORTED;
    reader.written[i] = result_type(instruction);
    reader.register_of[i] = static_cast<int>(dst);
    reader.count = i + 1;
    last[i] = i; // never read: its slot is free for the next one
  }
  int by[kMaxOutputs] = {};
  if (result_count > kMaxOutputs) return GK_UNSUPPORTED;
  for (int r = 0; r < result_count; ++r) {
    by[r] = reader.is_fixed(results[r]) ? -1 : reader.writer(results[r]);
    if (by[r] < 0 && !reader.is_fixed(results[r])) return GK_INVALID_ARGUMENT;
    result_types[r] = reader.is_fixed(results[r]) && results[r] >= input_count ? kNoType : reader.type(results[r]);
    if (by[r] >= 0) last[by[r]] = kMaxInstructions;
  }
  assign_slots(program, last, operands);
  for (int r = 0; r < result_count; ++r) {
    if (by[r] >= 0) results[r] = program->instructions[by[r]].dst;
  }
  return GK_OK;
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
