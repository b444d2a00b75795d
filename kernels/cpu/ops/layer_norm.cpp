// t = x + skip + pre_bias;  y = epilogue((t − mean(t)) / sqrt(var(t) + ε) · scale + shift), per row of X: the
// axes from `axis` on. kind rms: no mean, var is mean(t²).
// Inputs X, skip?, pre_bias?, scale?, shift?, operands of the epilogue…; outputs Y, t?, mean?, 1 / sqrt(var + ε)?.
// One read of each input and one write of each output: three passes over a row, the last two in L1. The
// variance is that of t − mean, so large means cost no precision.
#include "cpu/call.h"
#include "cpu/lib/elementwise/epilogue.h"
#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kAddends = 2, kOperands = 4;  // skip, pre_bias are added; scale, shift follow

// An operand as rows of the normalised size: row r is row r % period of it, where it lies or expanded to one row
// (or as many as X has) in the workspace.
struct RowOperand {
  int64_t period;
  int32_t present, expanded;
};

struct State {
  int64_t rows, cols;
  float epsilon;
  int32_t rms;
  RowOperand operands[kOperands];
  Epilogue epilogue;
};

// How operand `index` broadcasts to X, whose first normalised axis is `axis`.
bool describe(const gk_tensor& x, const gk_tensor& operand, int axis, int64_t rows, int64_t cols, RowOperand* result) {
  if (!is_f32(operand) || operand.ndim > x.ndim || !is_compact(operand)) return false;
  const int shift = x.ndim - operand.ndim;
  bool suffix = true, one_row = true;
  // A suffix: dims of X, then (to the left) only ones. Then the rows repeat.
  bool ended = false;
  for (int i = x.ndim - 1; i >= 0; --i) {
    const int64_t dim = i < shift ? 1 : operand.shape[i - shift];
    if (dim != x.shape[i] && dim != 1) return false;
    if (dim != x.shape[i]) ended = true;
    if (ended && dim != 1) suffix = false;
    if (ended && i >= axis) suffix = false;
    if (i < axis && dim != 1) one_row = false;
  }
  result->present = 1;
  result->expanded = suffix ? 0 : 1;
  if (suffix) {
    result->period = cols == 0 ? 1 : element_count(operand) / cols;
  } else {
    result->period = one_row ? 1 : rows;
  }
  if (result->period == 0) result->period = 1;
  return true;
}

int64_t expanded_bytes(const State& state, int index) {
  const RowOperand& operand = state.operands[index];
  return operand.expanded ? (operand.period * state.cols * 4 + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT : 0;
}

bool is_output(const gk_call* call, int index) { return index < call->output_count && call->outputs[index].ndim >= 0; }

int prepare(const gk_call* call, State* state, gk_prepared* prepared) {
  if (call->input_count < 1 || call->output_count < 1 || call->output_count > 4 || !has_input(call, 0)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor& x = call->inputs[0];
  if (!is_f32(x)) return GK_UNSUPPORTED;
  if (x.ndim < 1 || x.ndim > 8 || !is_compact(x)) return GK_INVALID_ARGUMENT;
  int64_t axis = int_attribute(call, "axis", -1);
  if (axis < 0) axis += x.ndim;
  if (axis < 0 || axis >= x.ndim) return GK_INVALID_ARGUMENT;
  const char* kind = string_attribute(call, "kind", "layer");
  if (!same_text(kind, "layer") && !same_text(kind, "rms")) return GK_INVALID_ARGUMENT;
  state->rms = same_text(kind, "rms");
  state->epsilon = static_cast<float>(float_attribute(call, "epsilon", 1e-5));
  state->rows = state->cols = 1;
  for (int i = 0; i < x.ndim; ++i) (i < axis ? state->rows : state->cols) *= x.shape[i];
  const Ints program = ints_attribute(call, "epilogue");
  const int64_t extra = program.length > 0 ? int_attribute(call, "epilogue_first", kOperands + 1) : kOperands + 1;
  for (int i = 0; i < kOperands; ++i) {
    state->operands[i] = {1, 0, 0};
    if (!has_input(call, i + 1) || i + 1 >= extra) continue;
    if (!describe(x, call->inputs[i + 1], static_cast<int>(axis), state->rows, state->cols, &state->operands[i])) {
      return GK_INVALID_ARGUMENT;
    }
    prepared->workspace_bytes += static_cast<uint64_t>(expanded_bytes(*state, i));
  }
  for (int i = 0; i < call->output_count; ++i) {
    if (!is_output(call, i)) {
      if (i == 0) return GK_INVALID_ARGUMENT;
      continue;
    }
    const gk_tensor& output = call->outputs[i];
    if (!is_f32(output)) return GK_UNSUPPORTED;
    if (!is_compact(output) || element_count(output) != (i < 2 ? state->rows * state->cols : state->rows)) {
      return GK_INVALID_ARGUMENT;
    }
  }
  return prepare_epilogue(call, 1, state->rows, state->cols, &state->epilogue);
}

struct Run {
  const gk_call* call;
  const State* state;
  const float* x;
  const float* operands[kOperands];
  float *y, *total, *mean, *inverse;
};

inline __attribute__((always_inline)) float sum_row(const float* row, int64_t cols) {
  VecF32 sums[4] = {};
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) sums[i] += load_lanes(row + c + i * kLanes);
  }
  for (; c + kLanes <= cols; c += kLanes) sums[0] += load_lanes(row + c);
  if (c < cols) sums[1] += load_part(row + c, cols - c);
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Σ (row − mean)².
inline __attribute__((always_inline)) float sum_squares(const float* row, int64_t cols, float mean) {
  VecF32 sums[4] = {};
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) {
      const VecF32 d = load_lanes(row + c + i * kLanes) - mean;
      sums[i] += d * d;
    }
  }
  for (; c + kLanes <= cols; c += kLanes) {
    const VecF32 d = load_lanes(row + c) - mean;
    sums[0] += d * d;
  }
  if (c < cols) {
    const VecF32 d = keep_lanes(load_part(row + c, cols - c) - mean, cols - c, 0.0f);
    sums[1] += d * d;
  }
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// to = x + a + b where those are given; gives the sum of it.
inline float add_row(const float* x, const float* a, const float* b, float* to, int64_t cols) {
  VecF32 sums[2] = {};
  int64_t c = 0;
  for (; c + 2 * kLanes <= cols; c += 2 * kLanes) {
    for (int i = 0; i < 2; ++i) {
      VecF32 v = load_lanes(x + c + i * kLanes);
      if (a != nullptr) v += load_lanes(a + c + i * kLanes);
      if (b != nullptr) v += load_lanes(b + c + i * kLanes);
      store_lanes(to + c + i * kLanes, v);
      sums[i] += v;
    }
  }
  for (; c < cols; c += kLanes) {
    const int64_t count = cols - c < kLanes ? cols - c : kLanes;
    VecF32 v = load_part(x + c, count);
    if (a != nullptr) v += load_part(a + c, count);
    if (b != nullptr) v += load_part(b + c, count);
    store_part(to + c, v, count);
    sums[0] += v;
  }
  return sum_lanes(sums[0] + sums[1]);
}

// to = (row − mean) · inverse · scale + shift.
template <bool has_scale, bool has_shift>
void normalise(const float* row, float* to, int64_t cols, float mean, float inverse, const float* scale,
               const float* shift) {
  for (int64_t c = 0; c < cols; c += kLanes) {
    const int64_t left = cols - c;
    if (left >= kLanes) {
      VecF32 v = (load_lanes(row + c) - mean) * inverse;
      if (has_scale) v *= load_lanes(scale + c);
      if (has_shift) v += load_lanes(shift + c);
      store_lanes(to + c, v);
    } else {
      VecF32 v = (load_part(row + c, left) - mean) * inverse;
      if (has_scale) v *= load_part(scale + c, left);
      if (has_shift) v += load_part(shift + c, left);
      store_part(to + c, v, left);
    }
  }
}

void rows_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& state = *run.state;
  const int64_t cols = state.cols;
  const bool added = run.operands[0] != nullptr || run.operands[1] != nullptr;
  for (int64_t r = begin; r < end; ++r) {
    const float* operands[kOperands];
    for (int i = 0; i < kOperands; ++i) {
      const int64_t period = state.operands[i].period;
      operands[i] = run.operands[i];
      if (operands[i] == nullptr || period == 1) continue;
      operands[i] += (period == state.rows ? r : r % period) * cols;
    }
    const float* row = run.x + r * cols;
    float* y = run.y + r * cols;
    float sum = 0;
    if (added || run.total != nullptr) {
      float* total = run.total != nullptr ? run.total + r * cols : y;
      sum = add_row(row, operands[0], operands[1], total, cols);
      row = total;
    } else if (!state.rms) {
      sum = sum_row(row, cols);
    }
    const float count = static_cast<float>(cols), mean = state.rms ? 0.0f : sum / count;
    const float inverse = 1.0f / __builtin_sqrtf(sum_squares(row, cols, mean) / count + state.epsilon);
    if (run.mean != nullptr) run.mean[r] = mean;
    if (run.inverse != nullptr) run.inverse[r] = inverse;
    const float *scale = operands[2], *shift = operands[3];
    if (scale != nullptr && shift != nullptr) {
      normalise<true, true>(row, y, cols, mean, inverse, scale, shift);
    } else if (scale != nullptr) {
      normalise<true, false>(row, y, cols, mean, inverse, scale, nullptr);
    } else if (shift != nullptr) {
      normalise<false, true>(row, y, cols, mean, inverse, nullptr, shift);
    } else {
      normalise<false, false>(row, y, cols, mean, inverse, nullptr, nullptr);
    }
    if (has_epilogue(state.epilogue) && epilogue_is_tiled(state.epilogue)) {
      apply_epilogue(state.epilogue, run.call, y, cols, 0, r, 1, 0, cols);
    }
  }
}

// Writes the operand as `period` rows.
void expand(const gk_call* call, const State& state, int index, float* to) {
  const gk_tensor &x = call->inputs[0], &operand = call->inputs[index + 1];
  const float* from = data_of<const float>(operand);
  const int shift = x.ndim - operand.ndim;
  const int64_t count = state.operands[index].period * state.cols;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0, stride = 1;
    for (int axis = x.ndim - 1; axis >= shift; --axis) {
      const int64_t at = rest % x.shape[axis], dim = operand.shape[axis - shift];
      rest /= x.shape[axis];
      if (dim != 1) offset += at * stride;
      stride *= dim;
    }
    to[i] = from[offset];
  }
}

int run(const gk_call* call, const State* state) {
  if (state->rows == 0 || state->cols == 0) {
    // Statistics of empty rows are those of numpy: mean 0 / 0.
    for (int i = 2; i < 4; ++i) {
      if (!is_output(call, i)) continue;
      for (int64_t r = 0; r < state->rows; ++r) data_of<float>(call->outputs[i])[r] = __builtin_nanf("");
    }
    return GK_OK;
  }
  Run context = {call, state, data_of<const float>(call->inputs[0]), {}, nullptr, nullptr, nullptr, nullptr};
  char* workspace = static_cast<char*>(call->workspace.data);
  int64_t used = 0;
  for (int i = 0; i < kOperands; ++i) {
    if (!state->operands[i].present) continue;
    context.operands[i] = data_of<const float>(call->inputs[i + 1]);
    const int64_t bytes = expanded_bytes(*state, i);
    if (bytes == 0) continue;
    if (call->workspace.size < static_cast<size_t>(used + bytes)) return GK_WORKSPACE_TOO_SMALL;
    float* expanded = reinterpret_cast<float*>(workspace + used);
    expand(call, *state, i, expanded);
    context.operands[i] = expanded;
    used += bytes;
  }
  float** const outputs[] = {&context.y, &context.total, &context.mean, &context.inverse};
  for (int i = 0; i < call->output_count; ++i) {
    if (is_output(call, i)) *outputs[i] = data_of<float>(call->outputs[i]);
  }
  const int64_t grain = kGrainBytes / (state->cols * 12) + 1;
  const int status = parallel_for(call, state->rows, grain, rows_body, &context);
  if (status != GK_OK || !has_epilogue(state->epilogue) || epilogue_is_tiled(state->epilogue)) return status;
  return apply_epilogue_whole(state->epilogue, call);
}

}  // namespace

int layer_norm(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
