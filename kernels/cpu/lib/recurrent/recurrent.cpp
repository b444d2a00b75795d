// The run of a recurrent network: the input product for all steps, tasks, steps, results.
#include "cpu/lib/recurrent/recurrent.h"

#include "cpu/lib/gemm/broadcast_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

bool is_output(const gk_call* call, int index) { return index < call->output_count && call->outputs[index].ndim >= 0; }

// ---- X Wᵀ + bias ----

struct InputProduct {
  const RecurrentRun* run;
  int group;
  int64_t row_blocks, block_rows, x_rows;
};

template <int ROWS, int VECTORS>
void input_tile(const float* x, int64_t inputs, const float* w, const float* bias, float* to) {
  VecF32 acc[ROWS][VECTORS];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < VECTORS; ++v) acc[i][v] = load_lanes(bias + v * kLanes);
  }
  broadcast_tile_deep<ROWS, VECTORS>(x, inputs, 1, w, VECTORS * kLanes, inputs, acc);
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < VECTORS; ++v) store_lanes(to + (i * VECTORS + v) * kLanes, acc[i][v]);
  }
}

template <int VECTORS>
void input_rows(const float* x, int64_t rows, int64_t inputs, const float* w, const float* bias, float* to) {
  const int64_t tiles = (rows + kRecurrentRows - 1) / kRecurrentRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t height = (rows + tiles - tile - 1) / (tiles - tile);
    if constexpr (kRecurrentRows == 6) {
      if (height == 6) input_tile<6, VECTORS>(x, inputs, w, bias, to);
      if (height == 5) input_tile<5, VECTORS>(x, inputs, w, bias, to);
      if (height == 4) input_tile<4, VECTORS>(x, inputs, w, bias, to);
    }
    if (height == 3) input_tile<3, VECTORS>(x, inputs, w, bias, to);
    if (height == 2) input_tile<2, VECTORS>(x, inputs, w, bias, to);
    if (height == 1) input_tile<1, VECTORS>(x, inputs, w, bias, to);
    x += height * inputs;
    to += height * VECTORS * kLanes;
    rows -= height;
  }
}

void input_body(void* context, int64_t begin, int64_t end, int32_t) {
  const InputProduct& product = *static_cast<const InputProduct*>(context);
  const RecurrentState& s = *product.run->state;
  const int vectors = kCells[s.cell].group[product.group].vectors;
  const int64_t columns = vectors * kLanes;
  for (int64_t index = begin; index < end; ++index) {
    const int64_t block = index % product.row_blocks, panel = index / product.row_blocks % s.panels,
                  direction = index / product.row_blocks / s.panels, row = block * product.block_rows;
    const int64_t rows = product.x_rows - row < product.block_rows ? product.x_rows - row : product.block_rows;
    const float* weights = product.run->weights + direction * s.weight_floats;
    const float *x = data_of<const float>(product.run->call->inputs[0]) + row * s.inputs,
                *w = weights + s.w_offset[product.group] + panel * s.inputs * columns,
                *bias = weights + s.bias_offset[product.group] + panel * columns;
    float* to = product.run->workspace + s.gates_at[product.group] +
                ((direction * s.panels + panel) * product.x_rows + row) * columns;
    if (vectors == 4) input_rows<4>(x, rows, s.inputs, w, bias, to);
    if (vectors == 3) input_rows<3>(x, rows, s.inputs, w, bias, to);
    if (vectors == 2) input_rows<2>(x, rows, s.inputs, w, bias, to);
  }
}

int multiply_inputs(const RecurrentRun& run) {
  const RecurrentState& s = *run.state;
  for (int g = 0; g < kCells[s.cell].groups; ++g) {
    const int64_t columns = kCells[s.cell].group[g].vectors * kLanes;
    // Blocks of rows of X that stay in L1 (half of the smallest in use) while a panel passes.
    InputProduct product = {&run, g, 1, 0, s.steps * s.batch};
    product.block_rows = kRecurrentRows * (16 * 1024 / 4 / (s.inputs + 1) / kRecurrentRows + 1);
    product.row_blocks = (product.x_rows + product.block_rows - 1) / product.block_rows;
    const int64_t rows = product.x_rows < product.block_rows ? product.x_rows : product.block_rows;
    const int64_t grain = kGrainFlops / (2 * rows * s.inputs * columns + 1) + 1;
    const int status = parallel_for(run.call, s.directions * s.panels * product.row_blocks, grain, input_body, &product);
    if (status != GK_OK) return status;
  }
  return GK_OK;
}

// ---- steps ----

// Batch rows [row, row + rows) of a direction.
struct Sequence {
  int64_t direction, row;
  int rows;
};

int64_t tiles_of(const RecurrentState& s) { return (s.batch + kRecurrentRows - 1) / kRecurrentRows; }

Sequence sequence_of(const RecurrentState& s, int64_t index) {
  const int64_t tiles = tiles_of(s), tile = index % tiles, first = tile * s.batch / tiles;
  return {index / tiles, first, static_cast<int>((tile + 1) * s.batch / tiles - first)};
}

int64_t length_of(const RecurrentRun& run, int64_t row) {
  if (run.lengths == nullptr) return run.state->steps;
  const int64_t length = run.lengths[row];
  return length < 0 ? 0 : length > run.state->steps ? run.state->steps : length;
}

// The four vectors of state of a batch row: h of even and of odd steps, c or update gate, reset ⊙ h.
float* state_of(const RecurrentRun& run, const Sequence& sequence, int which) {
  const RecurrentState& s = *run.state;
  return run.workspace + s.state_at + ((which * s.directions + sequence.direction) * s.batch + sequence.row) * s.width;
}

StepTile tile_at(const RecurrentRun& run, const Sequence& sequence, int64_t step) {
  const RecurrentState& s = *run.state;
  StepTile tile = {};
  tile.state = &s;
  tile.activations = s.activations[sequence.direction];
  tile.weights = run.weights + sequence.direction * s.weight_floats;
  tile.x_rows = s.steps * s.batch;
  for (int g = 0; g < kCells[s.cell].groups; ++g) {
    const int64_t columns = kCells[s.cell].group[g].vectors * kLanes;
    tile.gates[g] = run.workspace + s.gates_at[g] + sequence.direction * s.panels * tile.x_rows * columns;
  }
  float* y = is_output(run.call, 0) ? data_of<float>(run.call->outputs[0]) : nullptr;
  for (int i = 0; i < sequence.rows; ++i) {
    const int64_t row = sequence.row + i, length = length_of(run, row);
    tile.live[i] = step < length;
    const int64_t t = !tile.live[i] ? 0 : s.backward[sequence.direction] ? length - 1 - step : step;
    tile.gate_row[i] = s.batch_first ? row * s.steps + t : t * s.batch + row;
    const int64_t y_row = s.batch_first ? (row * s.steps + t) * s.directions + sequence.direction
                                        : (t * s.directions + sequence.direction) * s.batch + row;
    tile.y[i] = y == nullptr ? nullptr : y + y_row * s.hidden;
  }
  tile.h = state_of(run, sequence, static_cast<int>(step % 2));
  tile.next_h = state_of(run, sequence, static_cast<int>(1 - step % 2));
  tile.c = tile.update = state_of(run, sequence, 2);
  tile.reset = state_of(run, sequence, 3);
  return tile;
}

// Row of initial_h, initial_c, Y_h, Y_c.
int64_t state_row(const RecurrentState& s, const Sequence& sequence, int i) {
  return s.batch_first ? (sequence.row + i) * s.directions + sequence.direction
                       : sequence.direction * s.batch + sequence.row + i;
}

int64_t begin_sequence(const RecurrentRun& run, const Sequence& sequence) {
  const RecurrentState& s = *run.state;
  int64_t longest = 0;
  for (int which = 0; which < 4; ++which) {
    const int input = which == 0 ? 5 : which == 2 && s.cell == kLstm ? 6 : -1;
    for (int i = 0; i < sequence.rows; ++i) {
      float* to = state_of(run, sequence, which) + i * s.width;
      memset(to, 0, static_cast<size_t>(s.width) * 4);
      if (input < 0 || !has_input(run.call, input)) continue;
      const float* from = data_of<const float>(run.call->inputs[input]) + state_row(s, sequence, i) * s.hidden;
      memcpy(to, from, static_cast<size_t>(s.hidden) * 4);
    }
  }
  for (int i = 0; i < sequence.rows; ++i) {
    const int64_t length = length_of(run, sequence.row + i);
    longest = length > longest ? length : longest;
  }
  return longest;
}

// Y_h, Y_c, and zeros in Y behind the ends. A sequence without any step has zeros for both states.
void end_sequence(const RecurrentRun& run, const Sequence& sequence, int64_t steps) {
  const RecurrentState& s = *run.state;
  for (int i = 0; i < sequence.rows; ++i) {
    const int64_t length = length_of(run, sequence.row + i), bytes = s.hidden * 4;
    for (int output = 1; output < 3; ++output) {
      if (!is_output(run.call, output)) continue;
      float* to = data_of<float>(run.call->outputs[output]) + state_row(s, sequence, i) * s.hidden;
      const float* from = state_of(run, sequence, output == 1 ? static_cast<int>(steps % 2) : 2) + i * s.width;
      if (length == 0 && run.lengths != nullptr) {
        memset(to, 0, static_cast<size_t>(bytes));
      } else {
        memcpy(to, from, static_cast<size_t>(bytes));
      }
    }
    if (!is_output(run.call, 0)) continue;
    for (int64_t t = length; t < s.steps; ++t) {
      const int64_t row = sequence.row + i;
      const int64_t y_row = s.batch_first ? (row * s.steps + t) * s.directions + sequence.direction
                                          : (t * s.directions + sequence.direction) * s.batch + row;
      memset(data_of<float>(run.call->outputs[0]) + y_row * s.hidden, 0, static_cast<size_t>(bytes));
    }
  }
}

void sequences_body(void* context, int64_t begin, int64_t end, int32_t) {
  const RecurrentRun& run = *static_cast<const RecurrentRun*>(context);
  const RecurrentState& s = *run.state;
  for (int64_t index = begin; index < end; ++index) {
    const Sequence sequence = sequence_of(s, index);
    const int64_t steps = begin_sequence(run, sequence), groups = recurrent_groups(s, sequence.rows);
    for (int64_t step = 0; step < steps; ++step) {
      const StepTile tile = tile_at(run, sequence, step);
      for (int phase = 0; phase < recurrent_phases(s.cell); ++phase) {
        for (int64_t group = 0; group < groups; ++group) recurrent_group(tile, sequence.rows, group, phase);
      }
    }
    end_sequence(run, sequence, steps);
  }
}

struct OneStep {
  const StepTile* tile;
  int rows, phase;
};

void step_body(void* context, int64_t begin, int64_t end, int32_t) {
  const OneStep& step = *static_cast<const OneStep*>(context);
  for (int64_t group = begin; group < end; ++group) recurrent_group(*step.tile, step.rows, group, step.phase);
}

// One sequence after the other, the panels of each step on all threads, `grain` of them at least.
int run_step_by_step(const RecurrentRun& run, int64_t sequences, int64_t grain) {
  const RecurrentState& s = *run.state;
  for (int64_t index = 0; index < sequences; ++index) {
    const Sequence sequence = sequence_of(s, index);
    const int64_t steps = begin_sequence(run, sequence), groups = recurrent_groups(s, sequence.rows);
    for (int64_t step = 0; step < steps; ++step) {
      const StepTile tile = tile_at(run, sequence, step);
      for (int phase = 0; phase < recurrent_phases(s.cell); ++phase) {
        OneStep one = {&tile, sequence.rows, phase};
        const int status = parallel_for(run.call, groups, grain * groups / s.panels + 1, step_body, &one);
        if (status != GK_OK) return status;
      }
    }
    end_sequence(run, sequence, steps);
  }
  return GK_OK;
}

}  // namespace

int run_recurrent(const gk_call* call, const RecurrentState* s) {
  if (call->workspace.size < static_cast<size_t>(s->workspace_floats) * 4) return GK_WORKSPACE_TOO_SMALL;
  float* workspace = static_cast<float*>(call->workspace.data);
  RecurrentRun run = {call, s, static_cast<const float*>(call->packed), workspace,
                      has_input(call, 4) ? data_of<const int32_t>(call->inputs[4]) : nullptr};
  if (!s->packed) {
    for (int64_t d = 0; d < s->directions; ++d) {
      pack_recurrent_direction(call, *s, d, workspace + s->weights_at + d * s->weight_floats);
    }
    run.weights = workspace + s->weights_at;
  }
  int status = multiply_inputs(run);
  if (status != GK_OK) return status;
  const int64_t sequences = s->directions * tiles_of(*s), gates = kCells[s->cell].gates;
  const int64_t step_flops = 2 * gates * s->hidden * s->hidden * (s->batch < kRecurrentRows ? s->batch : kRecurrentRows);
  const int64_t grain = kGrainFlops / (step_flops / (s->panels + 1) + 1) + 1;
  if (sequences < worker_count(call) && s->panels >= 2 * grain) return run_step_by_step(run, sequences, grain);
  return parallel_for(call, sequences, kGrainFlops / (step_flops * s->steps + 1) + 1, sequences_body, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
