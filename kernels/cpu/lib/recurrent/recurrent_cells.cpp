// One step of the cells for a tile of batch rows and some panels of hidden units: the product with the recurrent
// weights goes from the accumulators into the gates, without being the result of anything in between.
#include "cpu/lib/gemm/broadcast_tile.h"
#include "cpu/lib/math/vmath.h"
#include "cpu/lib/recurrent/recurrent.h"

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
inline __attribute__((always_inline)) void multiply_panel(const StepTile& tile, const Panel& panel, const float* h,
                                                          VecF32 (&acc)[ROWS][VECTORS]) {
  for (int i = 0; i < ROWS; ++i) {
    const float* gates = panel.gates + tile.gate_row[i] * VECTORS * kLanes;
    for (int v = 0; v < VECTORS; ++v) acc[i][v] = load_lanes(gates + v * kLanes);
  }
  broadcast_tile_deep<ROWS, VECTORS>(h, tile.state->width, 1, panel.weights, VECTORS * kLanes, tile.state->hidden, acc);
}

template <int CELLS, int VECTORS>
inline void clip(const RecurrentState& s, VecF32 (&values)[CELLS][VECTORS]) {
  if (!s.has_clip) return;
  for (auto& cell : values) {
    for (VecF32& v : cell) v = vmath::clamp(v, splat(-s.clip), splat(s.clip));
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

// The cells of a call: ROWS batch rows of each of PANELS panels. Cell n is row n % ROWS of panel n / ROWS.
template <int ROWS, int PANELS>
struct Cells {
  static constexpr int kCount = ROWS * PANELS;
  const StepTile& tile;
  int64_t first;  // panel

  int row(int n) const { return n % ROWS; }
  int64_t unit(int n) const { return (first + n / ROWS) * kCells[tile.state->cell].blocks * kLanes; }
  int64_t at(int n) const { return row(n) * tile.state->width + unit(n); }

  // acc = gates of X + h · R, for all cells.
  template <int VECTORS>
  void multiply(int group, const float* h, VecF32 (&acc)[kCount][VECTORS]) const {
    for (int p = 0; p < PANELS; ++p) {
      VecF32 sums[ROWS][VECTORS];
      multiply_panel<ROWS, VECTORS>(tile, panel_of(tile, first + p, group), h, sums);
      for (int i = 0; i < ROWS; ++i) {
        for (int v = 0; v < VECTORS; ++v) acc[p * ROWS + i][v] = sums[i][v];
      }
    }
  }

  // The same, clipped and through the tile's activation of that number.
  template <int VECTORS>
  void gates(int group, const float* h, int activation, VecF32 (&acc)[kCount][VECTORS]) const {
    multiply(group, h, acc);
    clip(*tile.state, acc);
    activate(tile.activations[activation], acc[0], VECTORS * kCount);
  }
};

template <int ROWS, int PANELS>
void lstm_cells(const StepTile& tile, int64_t first) {
  const RecurrentState& s = *tile.state;
  const Cells<ROWS, PANELS> cells = {tile, first};
  constexpr int kCount = cells.kCount;
  VecF32 acc[kCount][4], in[kCount][1], out[kCount][1], forget[kCount][1], cell[kCount][1];
  cells.multiply(0, tile.h, acc);
  const float* peephole = tile.weights + s.peephole_offset;
  for (int n = 0; n < kCount; ++n) {
    const VecF32 c = load_lanes(tile.c + cells.at(n));
    in[n][0] = acc[n][0] + load_lanes(peephole + cells.unit(n)) * c;
    out[n][0] = acc[n][1];
    forget[n][0] = acc[n][2] + load_lanes(peephole + 2 * s.width + cells.unit(n)) * c;
    cell[n][0] = acc[n][3];
  }
  clip(s, in);
  clip(s, cell);
  activate(tile.activations[0], in[0], kCount);
  activate(tile.activations[1], cell[0], kCount);
  if (s.input_forget) {
    for (int n = 0; n < kCount; ++n) forget[n][0] = 1.0f - in[n][0];
  } else {
    clip(s, forget);
    activate(tile.activations[0], forget[0], kCount);
  }
  for (int n = 0; n < kCount; ++n) {
    float* c = tile.c + cells.at(n);
    const VecF32 next = forget[n][0] * load_lanes(c) + in[n][0] * cell[n][0];
    if (tile.live[cells.row(n)]) store_lanes(c, next);
    out[n][0] += load_lanes(peephole + s.width + cells.unit(n)) * next;
    cell[n][0] = next;
  }
  clip(s, out);
  activate(tile.activations[0], out[0], kCount);
  activate(tile.activations[2], cell[0], kCount);
  for (int n = 0; n < kCount; ++n) write_state(tile, cells.row(n), cells.unit(n), out[n][0] * cell[n][0]);
}

// h' = (1 − z) · candidate + z · h.
inline void write_gru(const StepTile& tile, int i, int64_t unit, VecF32 z, VecF32 candidate) {
  const VecF32 h = load_lanes(tile.h + i * tile.state->width + unit);
  write_state(tile, i, unit, (1.0f - z) * candidate + z * h);
}

template <int ROWS, int PANELS>
void gru_linear_cells(const StepTile& tile, int64_t first) {
  const RecurrentState& s = *tile.state;
  const Cells<ROWS, PANELS> cells = {tile, first};
  constexpr int kCount = cells.kCount;
  VecF32 gates[kCount][2], candidate[kCount][1], of_x[kCount];
  for (int p = 0; p < PANELS; ++p) {
    const Panel panel = panel_of(tile, first + p, 0);
    const VecF32 hidden_bias = load_lanes(tile.weights + s.hidden_bias_offset + panel.unit);
    VecF32 acc[ROWS][3];
    for (int i = 0; i < ROWS; ++i) {
      const float* row = panel.gates + tile.gate_row[i] * 3 * kLanes;
      acc[i][0] = load_lanes(row);
      acc[i][1] = load_lanes(row + kLanes);
      acc[i][2] = hidden_bias;
      of_x[p * ROWS + i] = load_lanes(row + 2 * kLanes);
    }
    broadcast_tile_deep<ROWS, 3>(tile.h, s.width, 1, panel.weights, 3 * kLanes, s.hidden, acc);
    for (int i = 0; i < ROWS; ++i) {
      gates[p * ROWS + i][0] = acc[i][0];
      gates[p * ROWS + i][1] = acc[i][1];
      candidate[p * ROWS + i][0] = acc[i][2];
    }
  }
  clip(s, gates);
  activate(tile.activations[0], gates[0], 2 * kCount);
  for (int n = 0; n < kCount; ++n) candidate[n][0] = of_x[n] + gates[n][1] * candidate[n][0];
  clip(s, candidate);
  activate(tile.activations[1], candidate[0], kCount);
  for (int n = 0; n < kCount; ++n) write_gru(tile, cells.row(n), cells.unit(n), gates[n][0], candidate[n][0]);
}

// z and r ⊙ h.
template <int ROWS, int PANELS>
void gru_gates(const StepTile& tile, int64_t first) {
  const Cells<ROWS, PANELS> cells = {tile, first};
  constexpr int kCount = cells.kCount;
  VecF32 acc[kCount][4];
  cells.gates(0, tile.h, 0, acc);
  for (int n = 0; n < kCount; ++n) {
    for (int block = 0; block < 2; ++block) {
      const int64_t at = cells.at(n) + block * kLanes;
      store_lanes(tile.update + at, acc[n][2 * block]);
      store_lanes(tile.reset + at, acc[n][2 * block + 1] * load_lanes(tile.h + at));
    }
  }
}

template <int ROWS, int PANELS>
void gru_candidates(const StepTile& tile, int64_t first) {
  const Cells<ROWS, PANELS> cells = {tile, first};
  constexpr int kCount = cells.kCount;
  VecF32 acc[kCount][2];
  cells.gates(1, tile.reset, 1, acc);
  for (int n = 0; n < kCount; ++n) {
    for (int block = 0; block < 2; ++block) {
      const VecF32 update = load_lanes(tile.update + cells.at(n) + block * kLanes);
      write_gru(tile, cells.row(n), cells.unit(n) + block * kLanes, update, acc[n][block]);
    }
  }
}

template <int ROWS, int PANELS>
void rnn_cells(const StepTile& tile, int64_t first) {
  const Cells<ROWS, PANELS> cells = {tile, first};
  constexpr int kCount = cells.kCount;
  VecF32 acc[kCount][4];
  cells.gates(0, tile.h, 0, acc);
  for (int n = 0; n < kCount; ++n) {
    for (int block = 0; block < 4; ++block) {
      write_state(tile, cells.row(n), cells.unit(n) + block * kLanes, acc[n][block]);
    }
  }
}

template <int ROWS, int PANELS>
void run_panels(const StepTile& tile, int64_t first, int phase) {
  switch (tile.state->cell) {
    case kLstm: return lstm_cells<ROWS, PANELS>(tile, first);
    case kGruReset: return phase == 0 ? gru_gates<ROWS, PANELS>(tile, first) : gru_candidates<ROWS, PANELS>(tile, first);
    case kGruLinear: return gru_linear_cells<ROWS, PANELS>(tile, first);
    case kRnn: return rnn_cells<ROWS, PANELS>(tile, first);
  }
}

// Few rows take several panels at once, so that the functions of the gates have something to do while they wait.
constexpr int panels_at_once(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

template <int ROWS>
void run_group(const StepTile& tile, int64_t group, int phase) {
  constexpr int kPanels = panels_at_once(ROWS);
  const int64_t first = group * kPanels, left = tile.state->panels - first;
  if (left >= kPanels) return run_panels<ROWS, kPanels>(tile, first, phase);
  for (int64_t panel = first; panel < first + left; ++panel) run_panels<ROWS, 1>(tile, panel, phase);
}

}  // namespace

int64_t recurrent_groups(const RecurrentState& state, int rows) {
  const int panels = panels_at_once(rows);
  return (state.panels + panels - 1) / panels;
}

void recurrent_group(const StepTile& tile, int rows, int64_t group, int phase) {
  if constexpr (kRecurrentRows == 6) {
    if (rows == 6) return run_group<6>(tile, group, phase);
    if (rows == 5) return run_group<5>(tile, group, phase);
    if (rows == 4) return run_group<4>(tile, group, phase);
  }
  if (rows == 3) return run_group<3>(tile, group, phase);
  return rows == 2 ? run_group<2>(tile, group, phase) : run_group<1>(tile, group, phase);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
