// Elementwise programs over whole tensors: blocks of the result small enough that every temporary stays in the
// first-level cache, each input read once, each output written once.
#pragma once

#include "cpu/lib/elementwise/broadcast.h"
#include "cpu/lib/elementwise/program.h"

namespace graphopt {
namespace GK_LEVEL {

// What to compute. Inputs may have any strides and broadcast to the outputs, which all have one shape.
struct ElementwiseTask {
  const gk_tensor* inputs[program::kMaxInputs];
  const gk_tensor* outputs[program::kMaxOutputs];
  int64_t results[program::kMaxOutputs]; // the register of each output
  int input_count, output_count;
  Ints program;
  Floats constants;
  // Where the result is reduced: the shape that inputs broadcast to and which of its dims go; output 0 is what is
  // left and its memory is not looked at here. Null: outputs have the shape.
  const int64_t* dims = nullptr;
  const uint8_t* reduced = nullptr;
  int rank = 0;
};

// How an input reaches the instructions, block by block.
enum InputMode : uint8_t {
  kDirect,   // where it lies
  kOneValue, // the block sees one value
  kRepeated, // the same row again and again: written out once
  kGathered, // written out for every block
};

// Plain bytes: part of a kernel's state. The result is walked as rows of walk.dims[rank - 1] elements. A block is
// either `block_rows` whole rows or, where block_rows is 0, up to `block` elements of one row.
struct ElementwisePlan {
  program::Program program;
  Walk walk;                // tensors: the inputs, then the outputs
  int64_t strides[112];     // of all of them, see Walk
  int64_t total, row_count, block_count, grain;
  int32_t block, block_rows, chunks, input_end; // input_end: no instruction from here on reads an input
  uint16_t whole_inputs;    // bit i: an instruction wants input i as a block, even where it is one value
  uint16_t compact_outputs; // bit i: output i is written where it lies
  uint32_t whole_constants;
  uint8_t mode[program::kMaxInputs];
  uint8_t constant_type[program::kMaxConstants]; // of those in whole_constants
  uint8_t results[program::kMaxOutputs], output_type[program::kMaxOutputs];
};
static_assert(sizeof(ElementwisePlan) <= 1488, "kernels keep it in their state");

// Checks the task and chooses blocks. No data is looked at. `reduced`, where it is not null, is filled with which of
// the plan's dims go.
int prepare_elementwise(const ElementwiseTask& task, ElementwisePlan* plan, uint8_t* reduced = nullptr);

// On the call's threads.
int run_elementwise(const gk_call* call, const ElementwiseTask& task, const ElementwisePlan& plan);

// What one worker needs to evaluate blocks: pointers and scratch of its own.
class Evaluator {
 public:
  static constexpr int64_t kScratchBytes = 60 * 1024;

  Evaluator(const ElementwiseTask& task, const ElementwisePlan& plan);

  // Block `index`; results go to the outputs, or, where `dst` is not null, contiguous to dst[output].
  void evaluate(int64_t index, char* const* dst);

  // Rows [row, row + rows) of all columns, or, where rows is 1, n columns from `col` on.
  void evaluate_at(int64_t row, int64_t rows, int64_t col, int64_t n, char* const* dst);

 private:
  struct Step {
    program::F32Function f32;
    program::BlockFunction block;
    program::Instruction instruction;
    int8_t output; // the output whose memory the result goes to directly, or -1
    uint8_t arity;
  };

  char* take(int64_t bytes);
  void bind_inputs(int64_t row, int64_t rows, int64_t col, int64_t n);
  void run_step(const Step& step, char* dst, int64_t n);
  void store_output(int output, int64_t row, int64_t rows, int64_t col, int64_t n);

  const ElementwiseTask& task_;
  const ElementwisePlan& plan_;
  int step_count_;
  bool repeated_ = false; // the repeated inputs are written out
  Step steps_[program::kMaxInstructions];
  const char* data_[program::kMaxRegisters]; // of each register, for this block
  bool one_[program::kMaxRegisters];         // it is one value
  char* buffer_[program::kMaxRegisters];     // scratch of inputs that are written out, and of slots
  char* target_[program::kMaxOutputs];       // where a result lies contiguously
  float constants_[program::kMaxConstants];
  char* next_;
  alignas(64) char scratch_[kScratchBytes];
};

}  // namespace GK_LEVEL
}  // namespace graphopt
