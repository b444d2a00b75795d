// Y = softmax(softcap(Q Kᵀ · scale) + mask) V per head: ONNX's Attention (opset 23 to 25).
// Inputs Q, K, V: [batch, heads, length, size] or [batch, length, heads · size] with any strides, so that parts of one
// packed QKV product need no copies; mask? (bool or float32, broadcast), past key? and value?
// [batch, kv heads, past, size], number of keys that are no padding? [batch].
// Outputs Y as Q, present key?, present value?, scores?.
// Work: 4 · queries · keys · size per head; tasks are (batch, key head, some queries): see lib/attention.h.
#include "cpu/lib/attention/attention.h"
#include "cpu/lib/gemm/broadcast_tile.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// Fewer queries than this are faster one by one than in lanes.
constexpr int64_t kFewQueries = kLanes / 2;
constexpr int64_t kKeyBlock = 64;

bool is_output(const gk_call* call, int index) { return index < call->output_count && call->outputs[index].ndim >= 0; }

// As [batch, heads, length, size]; false where it is none.
bool view_heads(const gk_tensor& tensor, int64_t heads, int64_t* dims, HeadStrides* strides) {
  if (tensor.ndim == 4) {
    for (int i = 0; i < 4; ++i) dims[i] = tensor.shape[i];
    *strides = {stride_of(tensor, 0), stride_of(tensor, 1), stride_of(tensor, 2), stride_of(tensor, 3)};
    return true;
  }
  if (tensor.ndim != 3 || heads < 1 || tensor.shape[2] % heads != 0) return false;
  const int64_t size = tensor.shape[2] / heads, column = stride_of(tensor, 2);
  dims[0] = tensor.shape[0];
  dims[1] = heads;
  dims[2] = tensor.shape[1];
  dims[3] = size;
  *strides = {stride_of(tensor, 0), size * column, stride_of(tensor, 1), column};
  return true;
}

bool has_dims(const int64_t* dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return dims[0] == a && dims[1] == b && dims[2] == c && dims[3] == d;
}

bool is_compact_of(const gk_tensor& tensor, int64_t a, int64_t b, int64_t c, int64_t d) {
  return tensor.ndim == 4 && is_compact(tensor) && has_dims(tensor.shape, a, b, c, d);
}

int prepare_mask(const gk_call* call, AttentionState* s) {
  s->mask_kind = kNoMask;
  if (!has_input(call, 3)) return GK_OK;
  const gk_tensor& mask = call->inputs[3];
  if (is_f32(mask)) {
    s->mask_kind = kFloatMask;
  } else if (is_dtype(mask, GK_BOOL, 8)) {
    s->mask_kind = kBoolMask;
  } else {
    return GK_UNSUPPORTED;
  }
  if (mask.ndim > 4) return GK_INVALID_ARGUMENT;
  const int64_t limits[4] = {s->batch, s->q_heads, s->q_length, s->total};
  int64_t strides[4] = {};
  for (int i = 0; i < mask.ndim; ++i) {
    const int axis = 4 - mask.ndim + i;
    const int64_t dim = mask.shape[i];
    // A last dim that is too short leaves out the last keys, also where it is one.
    if (axis == 3 ? dim > limits[3] : dim != limits[axis] && dim != 1) return GK_INVALID_ARGUMENT;
    strides[axis] = dim == 1 ? 0 : stride_of(mask, i);
  }
  s->mask_length = mask.ndim == 0 ? s->total : mask.shape[mask.ndim - 1];
  s->mask = {strides[0], strides[1], strides[2], strides[3]};
  return GK_OK;
}

int prepare_past(const gk_call* call, AttentionState* s) {
  s->past_length = 0;
  if (has_input(call, 4) != has_input(call, 5)) return GK_INVALID_ARGUMENT;
  if (has_input(call, 4)) {
    if (has_input(call, 6)) return GK_INVALID_ARGUMENT;
    if (!is_f32(call->inputs[4]) || !is_f32(call->inputs[5])) return GK_UNSUPPORTED;
    int64_t key[4], value[4];
    if (call->inputs[4].ndim != 4 || call->inputs[5].ndim != 4 || !view_heads(call->inputs[4], 1, key, &s->past_k) ||
        !view_heads(call->inputs[5], 1, value, &s->past_v)) {
      return GK_INVALID_ARGUMENT;
    }
    s->past_length = key[2];
    if (!has_dims(key, s->batch, s->kv_heads, s->past_length, s->head_size) ||
        !has_dims(value, s->batch, s->kv_heads, s->past_length, s->value_size)) {
      return GK_INVALID_ARGUMENT;
    }
  }
  if (has_input(call, 6)) {
    const gk_tensor& lengths = call->inputs[6];
    if (!is_dtype(lengths, GK_INT, 64)) return GK_UNSUPPORTED;
    if (lengths.ndim != 1 || lengths.shape[0] != s->batch || !is_compact(lengths)) return GK_INVALID_ARGUMENT;
  }
  return GK_OK;
}

int prepare_outputs(const gk_call* call, AttentionState* s) {
  for (int i = 0; i < call->output_count; ++i) {
    if (is_output(call, i) && !is_f32(call->outputs[i])) return GK_UNSUPPORTED;
  }
  int64_t y[4];
  if (!is_output(call, 0) || !is_compact(call->outputs[0]) || call->outputs[0].ndim != call->inputs[0].ndim ||
      !view_heads(call->outputs[0], s->q_heads, y, &s->y) ||
      !has_dims(y, s->batch, s->q_heads, s->q_length, s->value_size)) {
    return GK_INVALID_ARGUMENT;
  }
  if (is_output(call, 1) && !is_compact_of(call->outputs[1], s->batch, s->kv_heads, s->total, s->head_size)) {
    return GK_INVALID_ARGUMENT;
  }
  if (is_output(call, 2) && !is_compact_of(call->outputs[2], s->batch, s->kv_heads, s->total, s->value_size)) {
    return GK_INVALID_ARGUMENT;
  }
  if (is_output(call, 3) && !is_compact_of(call->outputs[3], s->batch, s->q_heads, s->q_length, s->total)) {
    return GK_INVALID_ARGUMENT;
  }
  return GK_OK;
}

// How the queries of a key head are cut into tasks: blocks of nearly the same number of vectors, and a few left over.
void choose_blocks(AttentionState* s) {
  const int64_t queries = s->group * s->q_length;
  s->lane_vectors = static_cast<int32_t>(queries / kLanes);
  s->left_over = static_cast<int32_t>(queries % kLanes);
  if (s->left_over >= kFewQueries) {
    ++s->lane_vectors;
    s->left_over = 0;
  }
  if (s->wants_scores) {
    s->lane_vectors = 0;
    s->left_over = static_cast<int32_t>(queries);
  }
  s->lane_blocks = (s->lane_vectors + kTileVectors - 1) / kTileVectors;
}

int prepare(const gk_call* call, AttentionState* s, gk_prepared* prepared) {
  if (call->input_count < 3 || call->input_count > 7 || call->output_count < 1 || call->output_count > 4 ||
      !has_input(call, 0) || !has_input(call, 1) || !has_input(call, 2)) {
    return GK_INVALID_ARGUMENT;
  }
  for (int i = 0; i < 3; ++i) {
    if (!is_f32(call->inputs[i])) return GK_UNSUPPORTED;
    if (call->inputs[i].ndim != call->inputs[0].ndim) return GK_INVALID_ARGUMENT;
  }
  int64_t q[4], k[4], v[4];
  const int64_t kv_heads = int_attribute(call, "kv_num_heads", 0);
  if (!view_heads(call->inputs[0], int_attribute(call, "q_num_heads", 0), q, &s->q) ||
      !view_heads(call->inputs[1], kv_heads, k, &s->k) || !view_heads(call->inputs[2], kv_heads, v, &s->v)) {
    return GK_INVALID_ARGUMENT;
  }
  s->batch = q[0];
  s->q_heads = q[1];
  s->q_length = q[2];
  s->head_size = q[3];
  s->kv_heads = k[1];
  s->new_length = k[2];
  s->value_size = v[3];
  if (!has_dims(k, s->batch, s->kv_heads, s->new_length, s->head_size) ||
      !has_dims(v, s->batch, s->kv_heads, s->new_length, s->value_size) || s->kv_heads < 1 ||
      s->q_heads % s->kv_heads != 0) {
    return GK_INVALID_ARGUMENT;
  }
  s->group = s->q_heads / s->kv_heads;
  int status = prepare_past(call, s);
  if (status != GK_OK) return status;
  s->total = s->past_length + s->new_length;
  if (s->total > INT32_MAX / 2 || s->group * s->q_length > INT32_MAX / 2) return GK_UNSUPPORTED;
  status = prepare_mask(call, s);
  if (status != GK_OK) return status;
  status = prepare_outputs(call, s);
  if (status != GK_OK) return status;

  s->scale = static_cast<float>(float_attribute(call, "scale", 0.0));
  if (find_attribute(call, "scale", GK_ATTRIBUTE_FLOAT) == nullptr) {
    s->scale = s->head_size == 0 ? 1.0f : 1.0f / __builtin_sqrtf(static_cast<float>(s->head_size));
  }
  s->softcap = static_cast<float>(float_attribute(call, "softcap", 0.0));
  s->causal = int_attribute(call, "is_causal", 0) != 0;
  s->left_window = int_attribute(call, "left_window_size", -1);
  s->right_window = int_attribute(call, "right_window_size", -1);
  s->scores_mode = static_cast<int32_t>(int_attribute(call, "qk_matmul_output_mode", 0));
  if (s->left_window < -1 || s->right_window < -1 || s->scores_mode < 0 || s->scores_mode > 3) {
    return GK_INVALID_ARGUMENT;
  }
  s->wants_scores = is_output(call, 3);
  s->key_block = s->total < kKeyBlock ? s->total : kKeyBlock;
  choose_blocks(s);
  int64_t floats = 0;
  if (s->batch == 0) s->lane_blocks = s->left_over = 0;
  if (s->lane_blocks > 0) floats = attention_lanes_floats(*s);
  if (s->left_over > 0 && attention_rows_floats(*s) > floats) floats = attention_rows_floats(*s);
  s->worker_floats = (floats + GK_ALIGNMENT / 4 - 1) / (GK_ALIGNMENT / 4) * (GK_ALIGNMENT / 4);
  prepared->workspace_bytes = static_cast<uint64_t>(s->worker_floats) * 4 * static_cast<uint64_t>(worker_count(call));
  return GK_OK;
}

void tasks_body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const AttentionRun& run = *static_cast<const AttentionRun*>(context);
  const AttentionState& s = *run.state;
  float* workspace = run.workspace + worker * s.worker_floats;
  const int64_t per_head = s.lane_blocks + (s.left_over > 0 ? 1 : 0), queries = s.group * s.q_length;
  for (int64_t index = begin; index < end; ++index) {
    const int64_t head = index / per_head, part = index % per_head;
    AttentionTask task = {head / s.kv_heads, head % s.kv_heads, 0, 0};
    if (part == s.lane_blocks) {
      task.first = queries - s.left_over;
      task.count = s.left_over;
      attention_rows(run, task, workspace);
      continue;
    }
    const int64_t first = part * s.lane_vectors / s.lane_blocks, last = (part + 1) * s.lane_vectors / s.lane_blocks;
    task.first = first * kLanes;
    const int64_t stop = last * kLanes < queries ? last * kLanes : queries;
    task.count = stop - task.first;
    attention_lanes(run, task, static_cast<int>(last - first), workspace);
  }
}

// One present output: past and new rows of each head, one after the other.
struct Present {
  const float *past, *fresh;
  HeadStrides past_strides, fresh_strides;
  int64_t heads, past_length, total, size;
  float* to;
};

void present_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Present& p = *static_cast<const Present*>(context);
  for (int64_t index = begin; index < end; ++index) {
    const int64_t batch = index / p.heads, head = index % p.heads;
    for (int64_t row = 0; row < p.total; ++row) {
      const bool past = row < p.past_length;
      const HeadStrides& strides = past ? p.past_strides : p.fresh_strides;
      const float* from = (past ? p.past : p.fresh) + batch * strides.batch + head * strides.head +
                          (past ? row : row - p.past_length) * strides.row;
      float* to = p.to + (index * p.total + row) * p.size;
      if (strides.col == 1) {
        memcpy(to, from, static_cast<size_t>(p.size) * 4);
      } else {
        for (int64_t c = 0; c < p.size; ++c) to[c] = from[c * strides.col];
      }
    }
  }
}

int run(const gk_call* call, const AttentionState* s) {
  AttentionRun context = {call,
                          s,
                          data_of<const float>(call->inputs[0]),
                          data_of<const float>(call->inputs[1]),
                          data_of<const float>(call->inputs[2]),
                          nullptr,
                          nullptr,
                          s->mask_kind == kNoMask ? nullptr : bytes_of(call->inputs[3]),
                          has_input(call, 6) ? data_of<const int64_t>(call->inputs[6]) : nullptr,
                          data_of<float>(call->outputs[0]),
                          s->wants_scores ? data_of<float>(call->outputs[3]) : nullptr,
                          static_cast<float*>(call->workspace.data)};
  if (has_input(call, 4)) {
    context.past_k = data_of<const float>(call->inputs[4]);
    context.past_v = data_of<const float>(call->inputs[5]);
  }
  for (int i = 1; i < 3; ++i) {
    if (!is_output(call, i)) continue;
    Present present = {i == 1 ? context.past_k : context.past_v,
                       i == 1 ? context.k : context.v,
                       i == 1 ? s->past_k : s->past_v,
                       i == 1 ? s->k : s->v,
                       s->kv_heads,
                       s->past_length,
                       s->total,
                       i == 1 ? s->head_size : s->value_size,
                       data_of<float>(call->outputs[i])};
    const int64_t grain = kGrainBytes / (present.total * present.size * 8 + 1) + 1;
    const int status = parallel_for(call, s->batch * s->kv_heads, grain, present_body, &present);
    if (status != GK_OK) return status;
  }
  const int64_t per_head = s->lane_blocks + (s->left_over > 0 ? 1 : 0), tasks = s->batch * s->kv_heads * per_head;
  if (tasks == 0) return GK_OK;
  if (call->workspace.size < static_cast<size_t>(s->worker_floats) * 4 * static_cast<size_t>(worker_count(call))) {
    return GK_WORKSPACE_TOO_SMALL;
  }
  const int64_t flops = 2 * s->group * s->q_length / per_head * (s->head_size + s->value_size + 16) * s->total;
  return parallel_for(call, tasks, kGrainFlops / (flops + 1) + 1, tasks_body, &context);
}

}  // namespace

int attention(const gk_call* call) { return run_phase<AttentionState, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
