// One step of the cells for a tile of batch rows and a panel of hidden units: the product with the recurrent weights
// goes straight from the accumulators into the gates.
#include "cpu/lib/broadcast_tile.h"
#include "cpu/lib/recurrent.h"
#include "cpu/lib/vmath.h"

namespace graphopt {
namespace GK_LEVEL {

const CellLayout kCells[4] = {
    // i, o, f, c
    {4, 1, 1, 3, {{4, {0, 1, 2, 3}, {0, 0, 0, 0}}, {}}},
    // z, r of two blocks; then h of them, which needs every r
    {3, 2, 2, 2, {{4, {0, 1, 0, 1}, {0, 0, 1, 1}}, {2, {2, 2, 0, 0}, {0, 1, 0, 0}}}},
    // z, r, h
    {3, 1, 1, 2, {{3, {0, 1, 2, 0}, {0, 0, 0, 0}}, {}}},
    {1, 4, 1, 1, {{4, {0, 0, 0, 0}, {0, 1, 2, 3}}, {}}},
};

void activate(const Activation& activation, VecF32* values, int count) {
  const VecF32 alpha = splat(activation.alpha), beta = splat(activation.beta), zero = {};
  const auto each = [&](auto function) {
    for (int i = 0; i < count; ++i) values[i] = function(values[i]);
  };
  switch (activation.kind) {
    case kRelu: return each([&](VecF32 x) { return vmath::at_least(x, zero); });
    case kTanh: return each([&](VecF32 x) { return vmath::tanh(x); });
    case kSigmoid: return each([&](VecF32 x) { return vmath::sigmoid(x); });
    case kAffine: return each([&](VecF32 x) { return x * alpha + beta; });
    case kLeakyRelu: return each([&](VecF32 x) { return x < zero ? x * alpha : x; });
    case kThresholdedRelu: return each([&](VecF32 x) { return x < alpha ? zero : x; });
    case kScaledTanh: return each([&](VecF32 x) { return vmath::tanh(x * beta) * alpha; });
    case kHardSigmoid: return each([&](VecF32 x) { return vmath::clamp(x * alpha + beta, zero, splat(1.0f)); });
    case kElu: return each([&](VecF32 x) { return x < zero ? vmath::expm1(x) * alpha : x; });
    case kSoftsign: return each([&](VecF32 x) { return x / (vmath::abs(x) + 1.0f); });
    case kSoftplus: return each([&](VecF32 x) { return vmath::softplus(x); });
  }
}

int recurrent_phases(RecurrentCell cell) { return cell == kGruReset ? 2 : 1; }

namespace {

// What a tile's rows have in common for one panel and group.
struct Panel {
  const float *weights, *gates;  // [hidden or 1][vectors · lanes], [row of X][vectors · lanes]
  int64_t unit;                  // its first hidden unit
};

Panel panel_of(const StepTile& tile, int64_t panel, int group) {
  const RecurrentState& s = *tile.state;
  const CellLayout& layout = kCells[s.cell];
  const int64_t lanes = layout.group[group].vectors * kLanes;
  return {tile.weights + s.r_offset[group] + panel * s.hidden * lanes, tile.gates[group] + panel * tile.x_rows * lanes,
          panel * layout.blocks * kLanes};
}

// acc = a row of the gates of X + h · R.
template <int ROWS, int VECTORS>
inline __attribute__((always_inline)) void multiply(const StepTile& tile, const Panel& panel, const float* h,
                                                    VecF32 (&acc)[ROWS][VECTORS]) {
  for (int i = 0; i < ROWS; ++i) {
    const float* gates = panel.gates + tile.gate_row[i] * VECTORS * kLanes;
    for (int v = 0; v < VECTORS; ++v) acc[i][v] = load_lanes(gates + v * kLanes);
  }
  broadcast_tile_deep<ROWS, VECTORS>(h, tile.state->width, 1, panel.weights, VECTORS * kLanes, tile.state->hidden, acc);
}

template <int ROWS, int VECTORS>
inline void clip(const RecurrentState& s, VecF32 (&values)[ROWS][VECTORS]) {
  if (!s.has_clip) return;
  for (auto& row : values) {
    for (VecF32& v : row) v = vmath::clamp(v, splat(-s.clip), splat(s.clip));
  }
}

// The new state of row i, units [unit, unit + kLanes); where the sequence is over, the old one.
inline void write_state(const StepTile& tile, int i, int64_t unit, VecF32 h) {
  const RecurrentState& s = *tile.state;
  const int64_t at = i * s.width + unit;
  if (!tile.live[i]) h = load_lanes(tile.h + at);
  store_lanes(tile.next_h + at, h);
  if (tile.y[i] == nullptr || !tile.live[i] || unit >= s.hidden) return;
  const int64_t left = s.hidden - unit;
  left >= kLanes ? store_lanes(tile.y[i] + unit, h) : store_part(tile.y[i] + unit, h, left);
}

template <int ROWS>
void lstm_panel(const StepTile& tile, int64_t index) {
  const RecurrentState& s = *tile.state;
  const Panel panel = panel_of(tile, index, 0);
  VecF32 acc[ROWS][4], in[ROWS][1], out[ROWS][1], forget[ROWS][1], cell[ROWS][1];
  multiply<ROWS, 4>(tile, panel, tile.h, acc);
  const float* peephole = tile.weights + s.peephole_offset + panel.unit;
  const VecF32 pi = load_lanes(peephole), po = load_lanes(peephole + s.width), pf = load_lanes(peephole + 2 * s.width);
  for (int i = 0; i < ROWS; ++i) {
    const VecF32 c = load_lanes(tile.c + i * s.width + panel.unit);
    in[i][0] = acc[i][0] + pi * c;
    out[i][0] = acc[i][1];
    forget[i][0] = acc[i][2] + pf * c;
    cell[i][0] = acc[i][3];
  }
  clip(s, in);
  clip(s, cell);
  activate(tile.activations[0], in[0], ROWS);
  activate(tile.activations[1], cell[0], ROWS);
  if (s.input_forget) {
    for (int i = 0; i < ROWS; ++i) forget[i][0] = 1.0f - in[i][0];
  } else {
    clip(s, forget);
    activate(tile.activations[0], forget[0], ROWS);
  }
  for (int i = 0; i < ROWS; ++i) {
    float* c = tile.c + i * s.width + panel.unit;
    const VecF32 next = forget[i][0] * load_lanes(c) + in[i][0] * cell[i][0];
    if (tile.live[i]) store_lanes(c, next);
    out[i][0] += po * next;
    cell[i][0] = next;
  }
  clip(s, out);
  activate(tile.activations[0], out[0], ROWS);
  activate(tile.activations[2], cell[0], ROWS);
  for (int i = 0; i < ROWS; ++i) write_state(tile, i, panel.unit, out[i][0] * cell[i][0]);
}

// h' = (1 − z) · candidate + z · h.
inline void write_gru(const StepTile& tile, int i, int64_t unit, VecF32 z, VecF32 candidate) {
  const VecF32 h = load_lanes(tile.h + i * tile.state->width + unit);
  write_state(tile, i, unit, (1.0f - z) * candidate + z * h);
}

template <int ROWS>
void gru_linear_panel(const StepTile& tile, int64_t index) {
  const RecurrentState& s = *tile.state;
  const Panel panel = panel_of(tile, index, 0);
  VecF32 acc[ROWS][3], gates[ROWS][2], candidate[ROWS][1];
  const VecF32 hidden_bias = load_lanes(tile.weights + s.hidden_bias_offset + panel.unit);
  for (int i = 0; i < ROWS; ++i) {
    const float* row = panel.gates + tile.gate_row[i] * 3 * kLanes;
    acc[i][0] = load_lanes(row);
    acc[i][1] = load_lanes(row + kLanes);
    acc[i][2] = hidden_bias;
  }
  broadcast_tile_deep<ROWS, 3>(tile.h, s.width, 1, panel.weights, 3 * kLanes, s.hidden, acc);
  for (int i = 0; i < ROWS; ++i) {
    gates[i][0] = acc[i][0];
    gates[i][1] = acc[i][1];
  }
  clip(s, gates);
  activate(tile.activations[0], gates[0], 2 * ROWS);
  for (int i = 0; i < ROWS; ++i) {
    candidate[i][0] =
        load_lanes(panel.gates + (tile.gate_row[i] * 3 + 2) * kLanes) + gates[i][1] * acc[i][2];
  }
  clip(s, candidate);
  activate(tile.activations[1], candidate[0], ROWS);
  for (int i = 0; i < ROWS; ++i) write_gru(tile, i, panel.unit, gates[i][0], candidate[i][0]);
}

// z and r ⊙ h.
template <int ROWS>
void gru_gates_panel(const StepTile& tile, int64_t index) {
  const RecurrentState& s = *tile.state;
  const Panel panel = panel_of(tile, index, 0);
  VecF32 acc[ROWS][4];
  multiply<ROWS, 4>(tile, panel, tile.h, acc);
  clip(s, acc);
  activate(tile.activations[0], acc[0], 4 * ROWS);
  for (int i = 0; i < ROWS; ++i) {
    for (int block = 0; block < 2; ++block) {
      const int64_t at = i * s.width + panel.unit + block * kLanes;
      store_lanes(tile.update + at, acc[i][2 * block]);
      store_lanes(tile.reset + at, acc[i][2 * block + 1] * load_lanes(tile.h + at));
    }
  }
}

template <int ROWS>
void gru_candidate_panel(const StepTile& tile, int64_t index) {
  const RecurrentState& s = *tile.state;
  const Panel panel = panel_of(tile, index, 1);
  VecF32 acc[ROWS][2];
  multiply<ROWS, 2>(tile, panel, tile.reset, acc);
  clip(s, acc);
  activate(tile.activations[1], acc[0], 2 * ROWS);
  for (int i = 0; i < ROWS; ++i) {
    for (int block = 0; block < 2; ++block) {
      const int64_t unit = panel.unit + block * kLanes;
      write_gru(tile, i, unit, load_lanes(tile.update + i * s.width + unit), acc[i][block]);
    }
  }
}

template <int ROWS>
void rnn_panel(const StepTile& tile, int64_t index) {
  const Panel panel = panel_of(tile, index, 0);
  VecF32 acc[ROWS][4];
  multiply<ROWS, 4>(tile, panel, tile.h, acc);
  clip(*tile.state, acc);
  activate(tile.activations[0], acc[0], 4 * ROWS);
  for (int i = 0; i < ROWS; ++i) {
    for (int block = 0; block < 4; ++block) write_state(tile, i, panel.unit + block * kLanes, acc[i][block]);
  }
}

template <int ROWS>
void run_panel(const StepTile& tile, int64_t panel, int phase) {
  switch (tile.state->cell) {
    case kLstm: return lstm_panel<ROWS>(tile, panel);
    case kGruReset: return phase == 0 ? gru_gates_panel<ROWS>(tile, panel) : gru_candidate_panel<ROWS>(tile, panel);
    case kGruLinear: return gru_linear_panel<ROWS>(tile, panel);
    case kRnn: return rnn_panel<ROWS>(tile, panel);
  }
}

}  // namespace

void recurrent_panel(const StepTile& tile, int rows, int64_t panel, int phase) {
  if constexpr (kRecurrentRows == 6) {
    if (rows == 6) return run_panel<6>(tile, panel, phase);
    if (rows == 5) return run_panel<5>(tile, panel, phase);
    if (rows == 4) return run_panel<4>(tile, panel, phase);
  }
  if (rows == 3) return run_panel<3>(tile, panel, phase);
  return rows == 2 ? run_panel<2>(tile, panel, phase) : run_panel<1>(tile, panel, phase);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
