// conv: y[n, o, m] = epilogue(bias[m] + Σ_{c, tap} x[n, o · stride + tap · dilation − pad, c] · w[m, c, tap])
//
// X [N, spatial…, C], Y [N, spatial…, M] channels last, W [M, C/group, kernel…]; one to three spatial dimensions.
// PREPARE chooses an algorithm for the shapes; each has a header of its own that says what it moves.
#include "cpu/lib/conv/conv_depthwise.h"
#include "cpu/lib/conv/conv_grouped.h"
#include "cpu/lib/conv/conv_indirect.h"
#include "cpu/lib/conv/conv_lines.h"
#include "cpu/lib/conv/conv_shape.h"
#include "cpu/lib/conv/conv_winograd.h"
#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

enum Algorithm : int32_t { kEmpty, kDepthwise, kIndirect, kWinograd, kProduct, kLines, kGrouped };

struct State {
  ConvShape shape;
  Epilogue epilogue;
  Algorithm algorithm;
  int64_t outer;         // the epilogue sees Y as [outer, …, filters]
  int64_t packed_bytes;  // of W
  int32_t packs_in_run;  // W is not constant: it is packed into the workspace,
  int64_t packed_at;     // so many bytes from its start
  DepthwisePlan depthwise;
  IndirectPlan indirect;
  WinogradPlan winograd;
  LinesPlan lines;
  GroupedPlan grouped;
};

constexpr int64_t kAlign = GK_ALIGNMENT;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

DepthwiseShape depthwise_shape(const ConvShape& shape) {
  DepthwiseShape result = {};
  result.batch = shape.batch;
  result.channels = shape.channels;
  result.multiplier = shape.group_filters();
  result.x_step = shape.x_step;
  result.y_step = shape.y_step;
  for (int i = 0; i < 3; ++i) {
    result.in[i] = shape.in[i];
    result.out[i] = shape.out[i];
    result.kernel[i] = shape.kernel[i];
    result.stride[i] = shape.stride[i];
    result.dilation[i] = shape.dilation[i];
    result.pad[i] = shape.pad[i];
  }
  return result;
}

Algorithm choose(const gk_call* call, const ConvShape& s) {
  if (s.is_empty()) return kEmpty;
  if (grouped_pays(s)) return kGrouped;
  if (s.group > 1 && s.group == s.channels && s.in[0] * s.in[1] * s.in[2] > 0) return kDepthwise;
  if (is_matrix_product(s)) return kProduct;
  if (winograd_pays(call, s)) return kWinograd;
  return lines_pay(s) ? kLines : kIndirect;
}

int prepare_epilogue_of(const gk_call* call, State* state) {
  const ConvShape& s = state->shape;
  if (state->algorithm == kDepthwise) {
    state->outer = s.batch;
    return prepare_epilogue(call, s.batch, s.pixels(), s.filters, &state->epilogue);
  }
  state->outer = 1;
  const int status = prepare_epilogue(call, 1, s.batch * s.pixels(), s.filters, &state->epilogue);
  if (status != GK_OK || epilogue_is_tiled(state->epilogue) || s.batch == 1) return status;
  // An operand with one value per image and channel has a stride of its own for the images.
  state->outer = s.batch;
  return prepare_epilogue(call, s.batch, s.pixels(), s.filters, &state->epilogue);
}

int prepare(const gk_call* call, State* state, gk_prepared* prepared) {
  int status = read_conv_shape(call, &state->shape);
  if (status != GK_OK) return status;
  const ConvShape& s = state->shape;
  state->algorithm = choose(call, s);
  status = prepare_epilogue_of(call, state);
  if (status != GK_OK || state->algorithm == kEmpty) return status;
  int64_t scratch = 0;
  if (state->algorithm == kDepthwise) {
    prepare_depthwise(depthwise_shape(s), &state->depthwise);
    state->packed_bytes = depthwise_packed_bytes(state->depthwise);
  } else if (state->algorithm == kWinograd) {
    prepare_winograd(call, s, &state->winograd);
    state->packed_bytes = winograd_packed_bytes(s);
    scratch = winograd_workspace_bytes(call, s, state->winograd);
  } else if (state->algorithm == kLines) {
    prepare_lines(call, s, &state->lines);
    state->packed_bytes = lines_packed_bytes(s, state->lines);
    scratch = lines_workspace_bytes(call, s, state->lines);
  } else if (state->algorithm == kGrouped) {
    prepare_grouped(call, s, &state->grouped);
    state->packed_bytes = grouped_packed_bytes(s, state->grouped);
    scratch = grouped_workspace_bytes(call, s, state->grouped);
  } else {
    if (state->algorithm == kProduct && state->outer != 1) state->algorithm = kIndirect;
    prepare_indirect(call, s, &state->indirect);
    state->packed_bytes = indirect_packed_bytes(s);
    scratch = state->algorithm == kProduct ? 0 : indirect_workspace_bytes(call, s, state->indirect);
  }
  if (is_constant(call, 1)) {
    prepared->packed_bytes = static_cast<uint64_t>(state->packed_bytes);
    prepared->packed_format = state->algorithm == kProduct ? kIndirect : state->algorithm;
    if (state->algorithm == kLines) prepared->packed_format += 16 * lines_format(state->lines);
    if (state->algorithm == kGrouped) prepared->packed_format += 16 * grouped_format(state->grouped);
  } else {
    state->packs_in_run = 1;
    state->packed_at = aligned(scratch);
    scratch = state->packed_at + state->packed_bytes;
  }
  prepared->workspace_bytes = scratch == 0 ? 0 : static_cast<uint64_t>(scratch + kAlign);
  return GK_OK;
}

void pack_weights(const gk_call* call, const State& state, void* packed) {
  const float* weights = data_of<const float>(call->inputs[1]);
  if (state.algorithm == kDepthwise) pack_depthwise(state.depthwise, weights, static_cast<float*>(packed));
  if (state.algorithm == kIndirect || state.algorithm == kProduct) {
    pack_indirect(state.shape, weights, static_cast<float*>(packed));
  }
  if (state.algorithm == kLines) pack_lines(state.shape, state.lines, weights, static_cast<float*>(packed));
  if (state.algorithm == kGrouped) pack_grouped(state.shape, state.grouped, weights, static_cast<float*>(packed));
  if (state.algorithm == kWinograd) pack_winograd(state.shape, weights, static_cast<float*>(packed));
}

int pack(const gk_call* call, const State* state) {
  pack_weights(call, *state, call->packed);
  return GK_OK;
}

// Every pixel of X is a row of A.
int run_product(const gk_call* call, const State& state, const float* packed, const float* bias) {
  GemmMatrix matrix;
  matrix.a = data_of<const float>(call->inputs[0]);
  matrix.b = packed;
  matrix.c = data_of<float>(call->outputs[0]);
  matrix.m = state.shape.batch * state.shape.pixels();
  matrix.n = state.shape.filters;
  matrix.k = state.shape.channels;
  matrix.lda = state.shape.x_step;
  matrix.ldc = state.shape.y_step;
  matrix.finish.bias = bias;
  matrix.finish.epilogue = &state.epilogue;
  matrix.finish.call = call;
  return gemm_f32(call, matrix);
}

int run(const gk_call* call, const State* state) {
  if (state->algorithm == kEmpty) return GK_OK;
  const ConvShape& shape = state->shape;
  if (call->prepared != nullptr && call->workspace.size < call->prepared->workspace_bytes) {
    return GK_WORKSPACE_TOO_SMALL;
  }
  if (state->packs_in_run == 0 && call->packed == nullptr) return GK_INVALID_ARGUMENT;
  auto start = reinterpret_cast<uintptr_t>(call->workspace.data);
  char* workspace = reinterpret_cast<char*>((start + kAlign - 1) / kAlign * kAlign);
  const float* packed = static_cast<const float*>(call->packed);
  if (state->packs_in_run != 0) {
    pack_weights(call, *state, workspace + state->packed_at);
    packed = reinterpret_cast<const float*>(workspace + state->packed_at);
  }
  const float* bias = has_input(call, 2) ? data_of<const float>(call->inputs[2]) : nullptr;
  int status = GK_OK;
  if (state->algorithm == kDepthwise) {
    status = run_depthwise(call, state->depthwise, data_of<const float>(call->inputs[0]), packed, bias, state->epilogue,
                           data_of<float>(call->outputs[0]));
  } else if (state->algorithm == kWinograd) {
    status = run_winograd(call, shape, state->winograd, packed, bias, state->epilogue, state->outer, workspace);
  } else if (state->algorithm == kLines) {
    status = run_lines(call, shape, state->lines, packed, bias, state->epilogue, state->outer, workspace);
  } else if (state->algorithm == kGrouped) {
    status = run_grouped(call, shape, state->grouped, packed, bias, state->epilogue, state->outer, workspace);
  } else if (state->algorithm == kProduct) {
    status = run_product(call, *state, packed, bias);
  } else {
    status = run_indirect(call, shape, state->indirect, packed, bias, state->epilogue, state->outer, workspace);
  }
  if (status != GK_OK || epilogue_is_tiled(state->epilogue)) return status;
  return apply_epilogue_whole(state->epilogue, call);
}

}  // namespace

int conv(const gk_call* call) { return run_phase<State, prepare, run, pack>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
