// Preparing elementwise programs: broadcasting, how inputs reach the instructions, block sizes.
#include "cpu/lib/elementwise/elementwise.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace program;

namespace {

// All buffers of a block together, so that they stay in the first-level cache beside what flows through.
constexpr int64_t kBlockBytes = 20 * 1024;
constexpr int64_t kMostElements = 2048, kLeastElements = 64;
// Rows of so many elements take longer than setting up a block.
constexpr int64_t kLongRow = 512;

bool is_zero(const int64_t* strides, int count) {
  for (int d = 0; d < count; ++d) {
    if (strides[d] != 0) return false;
  }
  return true;
}

// Rows follow one another without a gap.
bool is_dense(const Walk& walk, const int64_t* strides) {
  int64_t expected = 1;
  for (int d = walk.rank - 1; d >= 0; --d) {
    if (strides[d] != expected && walk.dims[d] != 1) return false;
    expected *= walk.dims[d];
  }
  return true;
}

// Registers that instructions or outputs want as blocks of elements rather than as one value.
int find_whole(const ElementwiseTask& task, ElementwisePlan* plan) {
  const Program& p = plan->program;
  const auto want = [&](int reg, int type) {
    if (reg < p.input_count) {
      plan->whole_inputs = static_cast<uint16_t>(plan->whole_inputs | 1u << reg);
    } else if (reg < p.input_count + p.constant_count) {
      const int k = reg - p.input_count;
      const bool known = (plan->whole_constants >> k & 1) != 0;
      if (known && plan->constant_type[k] != type) return false;
      plan->whole_constants |= 1u << k;
      plan->constant_type[k] = static_cast<uint8_t>(type);
    }
    return true;
  };
  for (int i = 0; i < p.instruction_count; ++i) {
    const Instruction& instruction = p.instructions[i];
    if (instruction.type == kF32 && f32_function(instruction.opcode) != nullptr) continue;
    const uint8_t operands[] = {instruction.a, instruction.b, instruction.c};
    for (int k = 0; k < arity_of(instruction.opcode); ++k) {
      const int type = instruction.opcode == kOp_where && k == 0 ? static_cast<int>(kBool) : instruction.type;
      if (!want(operands[k], type)) return GK_UNSUPPORTED;
    }
  }
  for (int o = 0; o < task.output_count; ++o) {
    if (!want(plan->results[o], plan->output_type[o])) return GK_UNSUPPORTED;
  }
  return GK_OK;
}

InputMode mode_of(const ElementwisePlan& plan, const int64_t* strides) {
  const Walk& walk = plan.walk;
  const int inner = walk.rank - 1;
  if (plan.block_rows == 0) return strides[inner] == 1 ? kDirect : strides[inner] == 0 ? kOneValue : kGathered;
  if (is_dense(walk, strides)) return kDirect;
  if (is_zero(strides, walk.rank)) return kOneValue;
  return is_zero(strides, inner) ? kRepeated : kGathered;
}

// Blocks, given the bytes of buffers each element of a block needs. `spread`: an input has one value a row, which takes
// no buffer where blocks are parts of rows.
void choose_blocks(ElementwisePlan* plan, int64_t bytes, bool spread) {
  const int64_t inner = plan->walk.dims[plan->walk.rank - 1];
  int64_t most = bytes == 0 ? kMostElements : kBlockBytes / bytes / kLeastElements * kLeastElements;
  most = most < kLeastElements ? kLeastElements : most > kMostElements ? kMostElements : most;
  if (2 * inner > most || (spread && inner >= kLongRow)) {
    const int64_t chunks = (inner + most - 1) / most;
    const int64_t even = (inner + chunks - 1) / chunks;
    plan->block = static_cast<int32_t>((even + kLeastElements - 1) / kLeastElements * kLeastElements);
    plan->chunks = static_cast<int32_t>((inner + plan->block - 1) / plan->block);
    plan->block_rows = 0;
    plan->block_count = plan->row_count * plan->chunks;
  } else {
    plan->block_rows = static_cast<int32_t>(most / inner);
    plan->block = static_cast<int32_t>(plan->block_rows * inner);
    plan->chunks = 1;
    plan->block_count = (plan->row_count + plan->block_rows - 1) / plan->block_rows;
  }
}

}  // namespace

int prepare_elementwise(const ElementwiseTask& task, ElementwisePlan* plan, uint8_t* reduced) {
  *plan = {};
  if (task.output_count < 1) return GK_INVALID_ARGUMENT;
  if (task.output_count > kMaxOutputs || task.input_count > kMaxInputs) return GK_UNSUPPORTED;
  const gk_tensor& first = *task.outputs[0];
  const bool reduces = task.reduced != nullptr;
  Walk& walk = plan->walk;
  walk.rank = reduces ? task.rank : first.ndim;
  if (walk.rank < 0) return GK_INVALID_ARGUMENT;
  if (walk.rank > kMaxDims) return GK_UNSUPPORTED;
  walk.count = task.input_count + task.output_count;
  plan->total = 1;
  for (int d = 0; d < walk.rank; ++d) {
    walk.dims[d] = reduces ? task.dims[d] : first.shape[d];
    if (walk.dims[d] < 0 || __builtin_mul_overflow(plan->total, walk.dims[d], &plan->total)) return GK_INVALID_ARGUMENT;
  }
  Type types[kMaxInputs] = {}, result_types[kMaxOutputs] = {};
  int64_t strides[(kMaxInputs + kMaxOutputs) * kMaxDims];
  for (int i = 0; i < task.input_count; ++i) {
    const gk_tensor& input = *task.inputs[i];
    types[i] = type_of(input.dtype);
    if (types[i] == kNoType) return GK_UNSUPPORTED;
    if (input.device.device_type != GK_CPU || !broadcast_strides(input, walk.dims, walk.rank, strides + i * walk.rank)) {
      return GK_INVALID_ARGUMENT;
    }
  }
  int64_t results[kMaxOutputs] = {};
  for (int o = 0; o < task.output_count; ++o) results[o] = task.results[o];
  int status = read_program(task.program, types, task.input_count, task.constants.length, task.output_count, results,
                            result_types, &plan->program);
  if (status != GK_OK) return status;
  const Program& p = plan->program;
  for (int o = 0; o < task.output_count; ++o) {
    const gk_tensor& output = *task.outputs[o];
    const Type type = type_of(output.dtype);
    if (type == kNoType) return GK_UNSUPPORTED;
    if (output.device.device_type != GK_CPU) return GK_INVALID_ARGUMENT;
    if (result_types[o] != kNoType && result_types[o] != type) return GK_INVALID_ARGUMENT;
    int64_t* to = strides + (task.input_count + o) * walk.rank;
    if (reduces) {
      for (int64_t d = walk.rank - 1, compact = 1; d >= 0; compact *= walk.dims[d--]) to[d] = compact;
    } else {
      if (output.ndim != first.ndim) return GK_INVALID_ARGUMENT;
      for (int d = 0; d < walk.rank; ++d) {
        if (output.shape[d] != first.shape[d]) return GK_INVALID_ARGUMENT;
      }
      broadcast_strides(output, walk.dims, walk.rank, to);
    }
    plan->results[o] = static_cast<uint8_t>(results[o]);
    plan->output_type[o] = type;
  }
  if (status = find_whole(task, plan); status != GK_OK) return status;
  if (plan->total == 0) return GK_OK;

  for (int d = 0; reduces && d < walk.rank; ++d) reduced[d] = task.reduced[d];
  collapse(&walk, strides, reduces ? reduced : nullptr);
  const int tensors = walk.count * walk.rank;
  if (tensors > static_cast<int>(sizeof(plan->strides) / sizeof(int64_t))) return GK_UNSUPPORTED;
  for (int k = 0; k < tensors; ++k) plan->strides[k] = strides[k];
  const int inner = walk.rank - 1;
  plan->row_count = plan->total / walk.dims[inner];

  // What each element of a block takes in buffers; how inputs come is not known before the block is, so count
  // every input that is not dense.
  int64_t bytes = int64_t{p.slot_count} * p.slot_bytes;
  for (int i = 0; i < task.input_count; ++i) {
    if (!is_dense(walk, strides + i * walk.rank)) bytes += bytes_of_type(types[i]);
  }
  for (int k = 0; k < p.constant_count; ++k) {
    if ((plan->whole_constants >> k & 1) != 0) bytes += bytes_of_type(plan->constant_type[k]);
  }
  int64_t moved = 0;
  for (int o = 0; o < task.output_count; ++o) {
    moved += bytes_of_type(plan->output_type[o]);
    const int64_t* s = strides + (task.input_count + o) * walk.rank;
    if (is_dense(walk, s) || s[inner] == 1) continue;
    bytes += bytes_of_type(plan->output_type[o]);
  }
  bool spread = false;
  for (int i = 0; i < task.input_count; ++i) {
    const int64_t* s = strides + i * walk.rank;
    spread = spread || (s[inner] == 0 && !is_zero(s, walk.rank));
  }
  choose_blocks(plan, bytes, spread);
  for (int i = 0; i < task.input_count; ++i) {
    plan->mode[i] = mode_of(*plan, strides + i * walk.rank);
    if (plan->mode[i] != kOneValue) moved += bytes_of_type(types[i]);
  }
  for (int o = 0; o < task.output_count; ++o) {
    const int64_t* s = strides + (task.input_count + o) * walk.rank;
    const bool direct = plan->block_rows == 0 ? s[inner] == 1 : is_dense(walk, s);
    if (direct) plan->compact_outputs = static_cast<uint16_t>(plan->compact_outputs | 1u << o);
  }
  int64_t cost = 0;
  for (int i = 0; i < p.instruction_count; ++i) {
    const Instruction& instruction = p.instructions[i];
    cost += cost_of(instruction.opcode, instruction.type);
    const uint8_t operands[] = {instruction.a, instruction.b, instruction.c};
    for (int k = 0; k < arity_of(instruction.opcode); ++k) {
      if (operands[k] < p.input_count) plan->input_end = i + 1;
    }
  }
  for (int o = 0; o < task.output_count; ++o) {  // outputs that are inputs are read after the last instruction
    if (plan->results[o] < p.input_count) plan->input_end = p.instruction_count + 1;
  }
  // Bytes from memory and arithmetic from registers overlap: what takes longer counts.
  const int64_t effort = moved > 4 * cost ? moved : 4 * cost;
  plan->grain = kGrainBytes / (effort * plan->block) + 1;
  return GK_OK;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
