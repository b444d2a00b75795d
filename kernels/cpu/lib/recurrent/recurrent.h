// What LSTM, GRU and RNN share.
//
//   gates[t] = X[t] Wᵀ + bias          for all t at once, before the first step
//   gates[t] + H[t−1] Rᵀ → H[t]        step by step
//
// Weights are packed so that a panel of at most 4 vectors of columns holds all gates of the same hidden units
// ("groups" of vectors, see kCells): the gates of a tile of batch rows leave the product in registers and become the
// new state there. Batch rows and directions are independent of each other: a task is one direction of a few
// rows over the whole sequence. Where there are fewer tasks than threads and the steps are large, each step is one
// parallel region over the panels.
#pragma once

#include "cpu/call.h"
#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

enum RecurrentCell : int32_t { kLstm, kGruReset, kGruLinear, kRnn };

enum ActivationKind : int32_t {
  kRelu, kTanh, kSigmoid, kAffine, kLeakyRelu, kThresholdedRelu, kScaledTanh, kHardSigmoid, kElu, kSoftsign, kSoftplus
};

struct Activation {
  ActivationKind kind;
  float alpha, beta;
};

// In place on `count` vectors.
void activate(const Activation& activation, VecF32* values, int count);

constexpr int kRecurrentRows = kVectorRegisters == 32 ? 6 : 3;  // batch rows of a tile; 4 vectors of accumulators each
constexpr int kMaxGroups = 2, kGroupVectors = 4;

// Columns that are multiplied together: vector v of panel p is gate gate[v] of the hidden units of block
// p · blocks + block[v], kLanes each.
struct GateGroup {
  int32_t vectors;
  int32_t gate[kGroupVectors], block[kGroupVectors];
};

struct CellLayout {
  int32_t gates, blocks, groups, activations;
  GateGroup group[kMaxGroups];
};

extern const CellLayout kCells[4];

struct RecurrentState {
  int64_t steps, batch, inputs, hidden, directions;
  int64_t panels, width;  // hidden units filled up to whole panels: panels · blocks · kLanes
  RecurrentCell cell;
  int32_t batch_first, input_forget, has_clip, backward[2], packed;
  float clip;
  Activation activations[2][3];
  // Floats from the start of a direction's weights.
  int64_t w_offset[kMaxGroups], r_offset[kMaxGroups], bias_offset[kMaxGroups], hidden_bias_offset, peephole_offset;
  int64_t weight_floats;  // of a direction
  // Floats from the start of the workspace.
  int64_t weights_at, gates_at[kMaxGroups], state_at, workspace_floats;
};

struct RecurrentRun {
  const gk_call* call;
  const RecurrentState* state;
  const float* weights;      // packed, all directions
  float* workspace;
  const int32_t* lengths;    // per batch row, or null
};

// A few batch rows of one direction at one step. Pointers are those of its first row; rows are `width` apart.
struct StepTile {
  const RecurrentState* state;
  const Activation* activations;
  const float* weights;                   // of the direction
  const float* gates[kMaxGroups];         // of the direction: [panel][row of X][vectors · kLanes]
  int64_t gate_row[kRecurrentRows];       // row of X
  bool live[kRecurrentRows];              // false: the sequence is over, the state stays
  float* y[kRecurrentRows];               // [hidden] or null
  const float* h;
  float *next_h, *c, *update, *reset;     // c: LSTM; update and reset (reset ⊙ h): GRU without linear_before_reset
  int64_t x_rows;
};

// The step for one group of panels. `phase` counts the parts that need all groups of the part before.
void recurrent_group(const StepTile& tile, int rows, int64_t group, int phase);
int64_t recurrent_groups(const RecurrentState& state, int rows);
int recurrent_phases(RecurrentCell cell);

int prepare_recurrent(const gk_call* call, RecurrentCell cell, RecurrentState* state, gk_prepared* prepared);
int pack_recurrent(const gk_call* call, const RecurrentState* state);
// The weights of one direction as they are packed, [weight_floats].
void pack_recurrent_direction(const gk_call* call, const RecurrentState& state, int64_t direction, float* to);
int run_recurrent(const gk_call* call, const RecurrentState* state);

template <RecurrentCell CELL>
int prepare_cell(const gk_call* call, RecurrentState* state, gk_prepared* prepared) {
  return prepare_recurrent(call, CELL, state, prepared);
}

// Of internal linkage: run_phase compares it with null while compiling, and under -fsanitize=undefined only of such a
// function GCC knows the answer then.
[[maybe_unused]] static int pack_cell(const gk_call* call, const RecurrentState* state) { return pack_recurrent(call, state); }

// A recurrent operator in every phase.
template <RecurrentCell CELL>
int recurrent(const gk_call* call) {
  return run_phase<RecurrentState, prepare_cell<CELL>, run_recurrent, pack_cell>(call);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
