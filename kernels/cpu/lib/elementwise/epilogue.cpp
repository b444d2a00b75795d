// Epilogues: reading them, recognising the frequent forms, running the others on tiles or the whole output.
#include "cpu/lib/elementwise/epilogue.h"

#include "cpu/lib/elementwise/elementwise.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace program;

namespace {

constexpr int64_t kTileFloats = 1024;  // of each temporary of a tile

ElementwiseTask whole_task(const gk_call* call, const Epilogue& epilogue) {
  ElementwiseTask task = {};
  task.inputs[task.input_count++] = &call->outputs[0];
  for (int i = 0; i < epilogue.operand_count; ++i) {
    task.inputs[task.input_count++] = &call->inputs[epilogue.first_input + i];
  }
  task.outputs[task.output_count++] = &call->outputs[0];
  task.program = ints_attribute(call, "epilogue");
  task.constants = floats_attribute(call, "epilogue_constants");
  task.results[0] = int_attribute(call, "epilogue_result", 0);
  return task;
}

// One stride for each of outer, rows and cols, if the operand has one: `ends` are the first dims of rows and of cols.
bool tile_operand(const gk_tensor& output, const gk_tensor& tensor, const int* ends, EpilogueOperand* operand) {
  int64_t strides[kMaxDims];
  if (!broadcast_strides(tensor, output.shape, output.ndim, strides)) return false;
  int64_t* const found[] = {&operand->outer_stride, &operand->row_stride, &operand->col_stride};
  const int begins[] = {0, ends[0], ends[1], output.ndim};
  for (int part = 0; part < 3; ++part) {
    int64_t stride = 0, dim_below = 1;
    bool first = true;
    for (int d = begins[part + 1] - 1; d >= begins[part]; --d) {
      if (output.shape[d] == 1) continue;
      if (first) {
        stride = strides[d];
      } else if (strides[d] != stride * dim_below) {
        return false;
      }
      first = false;
      dim_below *= output.shape[d];
    }
    *found[part] = stride;
  }
  return true;
}

// Where the dims of the output split into outer, rows and cols; false where they do not.
bool split_dims(const gk_tensor& output, int64_t outer, int64_t rows, int64_t cols, int* ends) {
  int64_t product = 1;
  int d = output.ndim;
  const auto take = [&](int64_t size) {
    product = 1;
    while (d > 0 && product < size) product *= output.shape[--d];
    return product == size;
  };
  if (!take(cols)) return false;
  ends[1] = d;
  if (!take(rows)) return false;
  ends[0] = d;
  while (d > 0) outer = output.shape[--d] == 0 ? 1 : outer / output.shape[d];
  return outer == 1;
}

// The forms that fit into accumulator registers.
void recognise(Epilogue* epilogue) {
  epilogue->form = kEpilogueProgram;
  epilogue->low = -__builtin_inff();
  epilogue->high = __builtin_inff();
  const int first_constant = 1 + epilogue->operand_count, end_constant = first_constant + epilogue->constant_count;
  int at = 0;
  int value = 0;  // the register that holds the result so far
  EpilogueForm form = kEpilogueNone;
  if (epilogue->operand_count == 1 && epilogue->instruction_count > 0) {
    const EpilogueInstruction& add = epilogue->instructions[0];
    const bool of_both = (add.a == 0 && add.b == 1) || (add.a == 1 && add.b == 0);
    if (add.opcode == kOp_add && of_both && epilogue->tiled != 0) {
      form = kEpilogueAddClamp;
      value = add.dst;
      at = 1;
    }
  }
  const auto constant = [&](int reg, float* number) {
    if (reg < first_constant || reg >= end_constant) return false;
    *number = epilogue->constants[reg - first_constant];
    return *number == *number;
  };
  for (; at < epilogue->instruction_count; ++at) {
    const EpilogueInstruction& step = epilogue->instructions[at];
    float low = -__builtin_inff(), high = __builtin_inff();
    bool known = false;
    if (step.opcode == kOp_relu && step.a == value) {
      low = 0;
      known = true;
    } else if (step.opcode == kOp_clip && step.a == value) {
      known = constant(step.b, &low) && constant(step.c, &high);
    } else if (step.opcode == kOp_max) {
      known = (step.a == value && constant(step.b, &low)) || (step.b == value && constant(step.a, &low));
    } else if (step.opcode == kOp_min) {
      known = (step.a == value && constant(step.b, &high)) || (step.b == value && constant(step.a, &high));
    }
    // Clamps compose while the bounds stay in order.
    if (!known || low > high || low > epilogue->high || high < epilogue->low) return;
    if (low > epilogue->low) epilogue->low = low;
    if (high < epilogue->high) epilogue->high = high;
    if (form == kEpilogueNone) form = kEpilogueClamp;
    value = step.dst;
  }
  if (value == epilogue->result) epilogue->form = form;
}

}  // namespace

int prepare_epilogue(const gk_call* call, int64_t outer, int64_t rows, int64_t cols, Epilogue* epilogue) {
  *epilogue = {};
  epilogue->form = kEpilogueNone;
  epilogue->tiled = 1;
  epilogue->low = -__builtin_inff();
  epilogue->high = __builtin_inff();
  const int64_t first = int_attribute(call, "epilogue_first", call->input_count);
  if (first < 0 || first > call->input_count) return GK_INVALID_ARGUMENT;
  epilogue->first_input = static_cast<int32_t>(first);
  epilogue->operand_count = call->input_count - epilogue->first_input;
  const Ints ints = ints_attribute(call, "epilogue");
  const Floats constants = floats_attribute(call, "epilogue_constants");
  const int64_t wanted = int_attribute(call, "epilogue_result", 0);
  if (ints.length == 0 && wanted == 0) return GK_OK;
  if (epilogue->operand_count > kMaxEpilogueOperands || constants.length > kMaxEpilogueConstants ||
      ints.length > 6 * kMaxEpilogueInstructions || call->outputs[0].ndim > kMaxDims) {
    return GK_UNSUPPORTED;
  }
  const gk_tensor& output = call->outputs[0];
  if (!is_f32(output)) return GK_UNSUPPORTED;
  Type types[kMaxInputs] = {kF32};
  for (int i = 0; i < epilogue->operand_count; ++i) {
    if (!is_f32(call->inputs[first + i])) return GK_UNSUPPORTED;
    types[1 + i] = kF32;
  }
  int64_t result[1] = {wanted};
  Type result_types[1];
  Program program;
  const int status = read_program(ints, types, 1 + epilogue->operand_count, constants.length, 1, result, result_types,
                                  &program);
  if (status != GK_OK) return status;
  epilogue->result = static_cast<int32_t>(result[0]);
  epilogue->constant_count = constants.length;
  epilogue->instruction_count = program.instruction_count;
  epilogue->temporary_count = program.slot_count;
  for (int i = 0; i < constants.length; ++i) epilogue->constants[i] = static_cast<float>(constants.data[i]);
  for (int i = 0; i < program.instruction_count; ++i) {
    const Instruction& from = program.instructions[i];
    if (from.type != kF32) return GK_UNSUPPORTED;
    // Comparisons and casts have no float32 loop; they go block by block over the whole output.
    if (f32_function(from.opcode) == nullptr) epilogue->tiled = 0;
    epilogue->instructions[i] = {from.opcode, from.dst, from.a, from.b, from.c, 0};
  }
  int ends[2] = {0, 0};
  int64_t checked[kMaxDims];
  const bool split = split_dims(output, outer, rows, cols, ends);
  for (int i = 0; i < epilogue->operand_count; ++i) {
    const gk_tensor& operand = call->inputs[first + i];
    if (!broadcast_strides(operand, output.shape, output.ndim, checked)) return GK_INVALID_ARGUMENT;
    if (!split || !tile_operand(output, operand, ends, &epilogue->operands[i])) epilogue->tiled = 0;
    if (epilogue->operands[i].col_stride != 0 && epilogue->operands[i].col_stride != 1) epilogue->tiled = 0;
  }
  recognise(epilogue);
  if (epilogue->form == kEpilogueClamp || epilogue->form == kEpilogueNone) epilogue->tiled = 1;
  if (epilogue->tiled == 0) {  // what the second pass refuses is refused now
    ElementwisePlan plan;
    return prepare_elementwise(whole_task(call, *epilogue), &plan);
  }
  return GK_OK;
}

void apply_epilogue(const Epilogue& epilogue, const gk_call* call, float* tile, int64_t ld, int64_t outer, int64_t row0,
                    int64_t rows, int64_t col0, int64_t cols) {
  if (epilogue.form == kEpilogueNone || rows <= 0 || cols <= 0) return;
  // Rows without gaps are one long row, also of the operands: narrow ones would waste most of each vector.
  bool one_row = rows > 1 && ld == cols;
  for (int i = 0; i < epilogue.operand_count; ++i) {
    one_row = one_row && epilogue.operands[i].row_stride == cols * epilogue.operands[i].col_stride;
  }
  if (one_row) {
    cols *= rows;
    rows = 1;
  }
  const int constants = 1 + epilogue.operand_count, temporaries = constants + epilogue.constant_count;
  constexpr int kMostRegisters = 1 + kMaxEpilogueOperands + kMaxEpilogueConstants + kMaxEpilogueInstructions;
  Rows registers[kMostRegisters];
  alignas(64) float scratch[kMaxEpilogueInstructions * kTileFloats];
  // Pieces whose temporaries stay in the first-level cache.
  const int64_t cols_once = cols < kTileFloats ? cols : kTileFloats;
  const int64_t width = (cols_once + 15) / 16 * 16;
  const int64_t rows_once = kTileFloats / width;
  for (int64_t r = 0; r < rows; r += rows_once) {
    const int64_t height = rows - r < rows_once ? rows - r : rows_once;
    for (int64_t c = 0; c < cols; c += cols_once) {
      const int64_t n = cols - c < cols_once ? cols - c : cols_once;
      float* piece = tile + r * ld + c;
      registers[0] = {piece, ld, 1};
      for (int i = 0; i < epilogue.operand_count; ++i) {
        const EpilogueOperand& operand = epilogue.operands[i];
        const float* from = data_of<const float>(call->inputs[epilogue.first_input + i]) + outer * operand.outer_stride +
                            (row0 + r) * operand.row_stride + (col0 + c) * operand.col_stride;
        registers[1 + i] = {from, operand.row_stride, operand.col_stride};
      }
      for (int i = 0; i < epilogue.constant_count; ++i) registers[constants + i] = {&epilogue.constants[i], 0, 0};
      for (int i = 0; i < epilogue.temporary_count; ++i) {
        registers[temporaries + i] = {scratch + i * kTileFloats, width, 1};
      }
      for (int i = 0; i < epilogue.instruction_count; ++i) {
        const EpilogueInstruction& step = epilogue.instructions[i];
        const bool last = i + 1 == epilogue.instruction_count && step.dst == epilogue.result;
        Rows in[3] = {registers[step.a], {}, {}};
        if (step.b != kUnused) in[1] = registers[step.b];
        if (step.c != kUnused) in[2] = registers[step.c];
        float* dst = last ? piece : const_cast<float*>(registers[step.dst].data);
        f32_function(step.opcode)(dst, last ? ld : width, in, height, n);
        if (last) registers[step.dst] = registers[0];
      }
      const Rows& result = registers[epilogue.result];
      if (result.data != piece) f32_function(kOp_identity)(piece, ld, &result, height, n);
    }
  }
}

int apply_epilogue_whole(const Epilogue& epilogue, const gk_call* call) {
  if (epilogue.form == kEpilogueNone) return GK_OK;
  const ElementwiseTask task = whole_task(call, epilogue);
  ElementwisePlan plan;
  const int status = prepare_elementwise(task, &plan);
  return status != GK_OK ? status : run_elementwise(call, task, plan);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
