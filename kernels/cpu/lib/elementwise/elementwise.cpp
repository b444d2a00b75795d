// Running elementwise programs: one worker evaluates blocks one after the other, instruction by instruction.
#include "cpu/lib/elementwise/elementwise.h"

#include "cpu/lib/bytes.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace program;

namespace {

// n elements of `bytes` at `stride` elements apart, one after the other at dst.
void gather_row(char* dst, const char* from, int64_t stride, int64_t n, int bytes) {
  if (stride == 1) return copy_bytes(dst, from, n * bytes);
  switch (bytes) {
#define GK_ROW(size)                                                                    \
  case size:                                                                            \
    if (stride == 0) return fill_elements<size>(dst, from, n);                          \
    for (int64_t i = 0; i < n; ++i) copy_element<size>(dst + i * size, from + i * stride * size); \
    return;
    GK_ROW(1)
    GK_ROW(2)
    GK_ROW(4)
    GK_ROW(8)
#undef GK_ROW
  }
}

void scatter_row(char* to, const char* from, int64_t stride, int64_t n, int bytes) {
  if (stride == 1) return copy_bytes(to, from, n * bytes);
  switch (bytes) {
#define GK_ROW(size)                                                                    \
  case size:                                                                            \
    for (int64_t i = 0; i < n; ++i) copy_element<size>(to + i * stride * size, from + i * size); \
    return;
    GK_ROW(1)
    GK_ROW(2)
    GK_ROW(4)
    GK_ROW(8)
#undef GK_ROW
  }
}

}  // namespace

char* Evaluator::take(int64_t bytes) {
  char* taken = next_;
  next_ += (bytes + 63) / 64 * 64;
  return taken;
}

Evaluator::Evaluator(const ElementwiseTask& task, const ElementwisePlan& plan) : task_(task), plan_(plan) {
  const Program& p = plan.program;
  next_ = scratch_;
  for (int i = 0; i < p.input_count; ++i) {
    const bool written = plan.mode[i] >= kRepeated || (plan.mode[i] == kOneValue && (plan.whole_inputs >> i & 1) != 0);
    buffer_[i] = written ? take(int64_t{plan.block} * (task.inputs[i]->dtype.bits / 8)) : nullptr;
  }
  for (int k = 0; k < p.constant_count; ++k) {
    const int reg = p.input_count + k;
    constants_[k] = static_cast<float>(task.constants.data[k]);
    one_[reg] = (plan.whole_constants >> k & 1) == 0;
    data_[reg] = reinterpret_cast<const char*>(&constants_[k]);
    buffer_[reg] = nullptr;
    if (one_[reg]) continue;
    char* block = take(int64_t{plan.block} * bytes_of_type(plan.constant_type[k]));
    fill_block(block, plan.constant_type[k], task.constants.data[k], plan.block);
    data_[reg] = block;
  }
  for (int s = 0; s < p.slot_count; ++s) {
    const int reg = p.input_count + p.constant_count + s;
    buffer_[reg] = take(int64_t{plan.block} * p.slot_bytes);
    data_[reg] = buffer_[reg];
    one_[reg] = false;
  }
  for (int o = 0; o < task.output_count; ++o) {
    const bool staged = (plan.compact_outputs >> o & 1) == 0;
    target_[o] = staged ? nullptr : data_of<char>(*task.outputs[o]);
  }
  step_count_ = p.instruction_count;
  for (int i = 0; i < step_count_; ++i) {
    const Instruction& instruction = p.instructions[i];
    Step& step = steps_[i];
    step = {nullptr, nullptr, instruction, -1, static_cast<uint8_t>(arity_of(instruction.opcode))};
    if (instruction.type == kF32) step.f32 = f32_function(instruction.opcode);
    if (step.f32 == nullptr) step.block = block_function(instruction.opcode, instruction.type, instruction.c);
  }
  // The instruction that makes a result writes it where it belongs, if no input that lies there is read later.
  for (int o = 0; o < task.output_count; ++o) {
    int maker = -1;
    for (int i = 0; i < step_count_; ++i) {
      if (p.instructions[i].dst == plan.results[o]) maker = i;
    }
    bool shared = false;
    for (int i = 0; i < p.input_count; ++i) shared = shared || data_of<char>(*task.inputs[i]) == target_[o];
    const bool late = !shared || maker + 1 >= plan.input_end;
    if (maker >= 0 && late && steps_[maker].output < 0) steps_[maker].output = static_cast<int8_t>(o);
  }
}

void Evaluator::bind_inputs(int64_t row, int64_t rows, int64_t col, int64_t n) {
  const Walk& walk = plan_.walk;
  const int inner = walk.rank - 1;
  Odometer start;
  bool placed = false;
  for (int i = 0; i < plan_.program.input_count; ++i) {
    const gk_tensor& input = *task_.inputs[i];
    const int64_t* strides = plan_.strides + i * walk.rank;
    const int bytes = input.dtype.bits / 8;
    const char* base = data_of<char>(input);
    one_[i] = plan_.mode[i] == kOneValue && buffer_[i] == nullptr;
    if (plan_.mode[i] == kDirect && plan_.block_rows != 0) {
      data_[i] = base + row * walk.dims[inner] * bytes;
      continue;
    }
    if (plan_.mode[i] == kRepeated) {
      data_[i] = buffer_[i];
      if (repeated_) continue;
      for (int64_t r = 0; r < plan_.block_rows; ++r) {
        gather_row(buffer_[i] + r * walk.dims[inner] * bytes, base, strides[inner], walk.dims[inner], bytes);
      }
      continue;
    }
    if (!placed) start.set(walk, row);
    placed = true;
    const char* from = base + (start.offset(walk, strides) + col * strides[inner]) * bytes;
    data_[i] = from;
    if (buffer_[i] == nullptr) continue;
    data_[i] = buffer_[i];
    if (plan_.mode[i] == kOneValue) {
      gather_row(buffer_[i], from, 0, n, bytes);
      continue;
    }
    if (rows == 1) {
      gather_row(buffer_[i], from, strides[inner], n, bytes);
      continue;
    }
    Odometer at = start;
    for (int64_t r = 0; r < rows; ++r, at.next(walk)) {
      gather_row(buffer_[i] + r * walk.dims[inner] * bytes, base + at.offset(walk, strides) * bytes, strides[inner],
                 walk.dims[inner], bytes);
    }
  }
  repeated_ = true;
}

void Evaluator::run_step(const Step& step, char* dst, int64_t n) {
  const uint8_t operands[] = {step.instruction.a, step.instruction.b, step.instruction.c};
  if (step.f32 != nullptr) {
    Rows rows[3];
    for (int k = 0; k < step.arity; ++k) {
      rows[k] = {reinterpret_cast<const float*>(data_[operands[k]]), 0, one_[operands[k]] ? 0 : 1};
    }
    step.f32(reinterpret_cast<float*>(dst), 0, rows, 1, n);
    return;
  }
  Block block = {dst, {}, n, step.instruction.opcode, step.instruction.type, step.instruction.c};
  for (int k = 0; k < step.arity; ++k) block.in[k] = data_[operands[k]];
  step.block(block);
}

void Evaluator::store_output(int o, int64_t row, int64_t rows, int64_t col, int64_t n) {
  const Walk& walk = plan_.walk;
  const int inner = walk.rank - 1;
  const gk_tensor& output = *task_.outputs[o];
  const int bytes = output.dtype.bits / 8;
  const char* from = data_[plan_.results[o]];
  if (target_[o] != nullptr) {
    if (from != target_[o]) copy_bytes(target_[o], from, n * bytes);
    return;
  }
  const int64_t* strides = plan_.strides + (task_.input_count + o) * walk.rank;
  char* base = data_of<char>(output);
  Odometer at;
  at.set(walk, row);
  const int64_t columns = rows == 1 ? n : walk.dims[inner];
  for (int64_t r = 0; r < rows; ++r, at.next(walk)) {
    char* to = base + (at.offset(walk, strides) + col * strides[inner]) * bytes;
    scatter_row(to, from + r * columns * bytes, strides[inner], columns, bytes);
  }
}

void Evaluator::evaluate_at(int64_t row, int64_t rows, int64_t col, int64_t n, char* const* dst) {
  const Walk& walk = plan_.walk;
  bind_inputs(row, rows, col, n);
  Odometer at;
  if (plan_.block_rows == 0) at.set(walk, row);
  for (int o = 0; o < task_.output_count; ++o) {
    if (dst != nullptr) {
      target_[o] = dst[o];
    } else if ((plan_.compact_outputs >> o & 1) != 0) {
      const int64_t* strides = plan_.strides + (task_.input_count + o) * walk.rank;
      const int64_t offset = plan_.block_rows == 0 ? at.offset(walk, strides) + col : row * walk.dims[walk.rank - 1];
      target_[o] = data_of<char>(*task_.outputs[o]) + offset * (task_.outputs[o]->dtype.bits / 8);
    }
  }
  const int first_slot = plan_.program.input_count + plan_.program.constant_count;
  for (int s = 0; s < plan_.program.slot_count; ++s) data_[first_slot + s] = buffer_[first_slot + s];
  for (int i = 0; i < step_count_; ++i) {
    const Step& step = steps_[i];
    char* to = const_cast<char*>(data_[step.instruction.dst]);
    if (step.output >= 0 && target_[step.output] != nullptr) to = target_[step.output];
    run_step(step, to, n);
    data_[step.instruction.dst] = to; // not before: an operand may lie in the slot of the result
  }
  // Outputs that are inputs first: another output may lie in that input.
  for (int pass = 0; pass < 2; ++pass) {
    for (int o = 0; o < task_.output_count; ++o) {
      if ((plan_.results[o] < plan_.program.input_count) == (pass == 0)) store_output(o, row, rows, col, n);
    }
  }
}

void Evaluator::evaluate(int64_t index, char* const* dst) {
  if (plan_.block_rows == 0) {
    const int64_t row = index / plan_.chunks, col = index % plan_.chunks * plan_.block;
    const int64_t left = plan_.walk.dims[plan_.walk.rank - 1] - col;
    evaluate_at(row, 1, col, left < plan_.block ? left : plan_.block, dst);
    return;
  }
  const int64_t row = index * plan_.block_rows, left = plan_.row_count - row;
  const int64_t rows = left < plan_.block_rows ? left : plan_.block_rows;
  evaluate_at(row, rows, 0, rows * plan_.walk.dims[plan_.walk.rank - 1], dst);
}

namespace {

struct Loop {
  const ElementwiseTask& task;
  const ElementwisePlan& plan;
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  Evaluator evaluator(loop.task, loop.plan);
  for (int64_t index = begin; index < end; ++index) evaluator.evaluate(index, nullptr);
}

}  // namespace

int run_elementwise(const gk_call* call, const ElementwiseTask& task, const ElementwisePlan& plan) {
  if (plan.total == 0) return GK_OK;
  for (int i = 0; i < task.input_count; ++i) {
    if (task.inputs[i]->data == nullptr) return GK_INVALID_ARGUMENT;
  }
  for (int o = 0; o < task.output_count; ++o) {
    if (task.outputs[o]->data == nullptr) return GK_INVALID_ARGUMENT;
  }
  Loop loop = {task, plan};
  return parallel_for(call, plan.block_count, plan.grain, body, &loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
