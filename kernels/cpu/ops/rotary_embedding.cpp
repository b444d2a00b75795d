// y₁ = x₁ cos − x₂ sin, y₂ = x₁ sin + x₂ cos for the pairs (x₁, x₂) among the first rotary_embedding_dim columns of each
// head; the other columns are copied: ONNX's RotaryEmbedding (opset 23). Pairs are (i, i + half), or (2i, 2i + 1)
// where interleaved.
// X: [batch, heads, length, size] or [batch, length, heads · size], any strides; cos, sin: [positions, half] with
// positions [batch, length], or [batch, length, half] without. Bytes: X and Y once, a row of cos and sin per position.
#include "cpu/call.h"
#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

struct State {
  int64_t batch, heads, length, size, rotated;
  int64_t x_strides[4], y_strides[4];  // batch, head, position, column
  int64_t positions;                   // rows of the caches where there are position ids
  int32_t interleaved;
};

// Strides and dims as [batch, head, position, column].
bool view_heads(const gk_tensor& tensor, int64_t heads, int64_t* dims, int64_t* strides) {
  if (tensor.ndim == 4) {
    for (int i = 0; i < 4; ++i) {
      dims[i] = tensor.shape[i];
      strides[i] = stride_of(tensor, i);
    }
    return true;
  }
  if (tensor.ndim != 3 || heads < 1 || tensor.shape[2] % heads != 0) return false;
  const int64_t size = tensor.shape[2] / heads, column = stride_of(tensor, 2);
  const int64_t all_dims[4] = {tensor.shape[0], heads, tensor.shape[1], size},
                all_strides[4] = {stride_of(tensor, 0), size * column, stride_of(tensor, 1), column};
  for (int i = 0; i < 4; ++i) {
    dims[i] = all_dims[i];
    strides[i] = all_strides[i];
  }
  return true;
}

int prepare(const gk_call* call, State* s, gk_prepared*) {
  if (call->input_count < 3 || call->input_count > 4 || call->output_count != 1 || !has_input(call, 0) ||
      !has_input(call, 1) || !has_input(call, 2)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (!is_f32(x) || !is_f32(y) || !is_f32(call->inputs[1]) || !is_f32(call->inputs[2])) return GK_UNSUPPORTED;
  int64_t dims[4], y_dims[4];
  const int64_t heads = int_attribute(call, "num_heads", 0);
  if (x.ndim != y.ndim || !view_heads(x, heads, dims, s->x_strides) || !view_heads(y, heads, y_dims, s->y_strides) ||
      !is_compact(y)) {
    return GK_INVALID_ARGUMENT;
  }
  for (int i = 0; i < 4; ++i) {
    if (dims[i] != y_dims[i]) return GK_INVALID_ARGUMENT;
  }
  s->batch = dims[0];
  s->heads = dims[1];
  s->length = dims[2];
  s->size = dims[3];
  s->rotated = int_attribute(call, "rotary_embedding_dim", 0);
  if (s->rotated == 0) s->rotated = s->size;
  if (s->rotated < 0 || s->rotated > s->size || s->rotated % 2 != 0) return GK_INVALID_ARGUMENT;
  s->interleaved = int_attribute(call, "interleaved", 0) != 0;
  const bool by_id = has_input(call, 3);
  for (int i = 1; i < 3; ++i) {
    const gk_tensor& cache = call->inputs[i];
    if (!is_compact(cache) || cache.ndim != (by_id ? 2 : 3) || cache.shape[cache.ndim - 1] != s->rotated / 2) {
      return GK_INVALID_ARGUMENT;
    }
    if (by_id ? cache.shape[0] != call->inputs[1].shape[0]
              : cache.shape[0] != s->batch || cache.shape[1] != s->length) {
      return GK_INVALID_ARGUMENT;
    }
  }
  if (by_id) {
    const gk_tensor& ids = call->inputs[3];
    if (!is_dtype(ids, GK_INT, 64)) return GK_UNSUPPORTED;
    if (ids.ndim != 2 || !is_compact(ids) || ids.shape[0] != s->batch || ids.shape[1] != s->length) {
      return GK_INVALID_ARGUMENT;
    }
    s->positions = call->inputs[1].shape[0];
  }
  return GK_OK;
}

struct Run {
  const State* state;
  const float *x, *cos, *sin;
  const int64_t* ids;
  float* y;
};

void rotate_halves(const float* x, float* y, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i < kLanes ? half - i : kLanes;
    const VecF32 a = load_part(x + i, left), b = load_part(x + half + i, left), c = load_part(cos + i, left),
                 s = load_part(sin + i, left);
    store_part(y + i, a * c - b * s, left);
    store_part(y + half + i, a * s + b * c, left);
  }
}

void rotate_pairs(const float* x, int64_t first, int64_t second, int64_t next, float* y, int64_t y_second, int64_t y_next,
                  const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i * next + first], b = x[i * next + second];
    y[i * y_next] = a * cos[i] - b * sin[i];
    y[i * y_next + y_second] = a * sin[i] + b * cos[i];
  }
}

// Task: one position of one batch row, all heads.
void positions_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const State& s = *run.state;
  const int64_t half = s.rotated / 2, column = s.x_strides[3];
  for (int64_t index = begin; index < end; ++index) {
    int64_t row = run.ids == nullptr ? index : run.ids[index];
    if (row < 0) row += s.positions;  // from the end, as numpy counts
    const float *cos = run.cos + row * half, *sin = run.sin + row * half;
    const int64_t batch = index / s.length, position = index % s.length;
    for (int64_t head = 0; head < s.heads; ++head) {
      const float* x = run.x + batch * s.x_strides[0] + head * s.x_strides[1] + position * s.x_strides[2];
      float* y = run.y + batch * s.y_strides[0] + head * s.y_strides[1] + position * s.y_strides[2];
      if (s.interleaved) {
        rotate_pairs(x, 0, column, 2 * column, y, 1, 2, cos, sin, half);
      } else if (column == 1) {
        rotate_halves(x, y, cos, sin, half);
      } else {
        rotate_pairs(x, 0, half * column, column, y, half, 1, cos, sin, half);
      }
      for (int64_t c = s.rotated; c < s.size; ++c) y[c] = x[c * column];
    }
  }
}

int run(const gk_call* call, const State* state) {
  if (state->batch == 0 || state->heads == 0 || state->length == 0 || state->size == 0) return GK_OK;
  const Run context = {state, data_of<const float>(call->inputs[0]), data_of<const float>(call->inputs[1]),
                       data_of<const float>(call->inputs[2]),
                       has_input(call, 3) ? data_of<const int64_t>(call->inputs[3]) : nullptr,
                       data_of<float>(call->outputs[0])};
  const int64_t tasks = state->batch * state->length;
  for (int64_t i = 0; context.ids != nullptr && i < tasks; ++i) {
    if (context.ids[i] < -state->positions || context.ids[i] >= state->positions) return GK_INVALID_ARGUMENT;
  }
  const int64_t grain = kGrainBytes / (state->heads * state->size * 8) + 1;
  return parallel_for(call, tasks, grain, positions_body, const_cast<Run*>(&context));
}

}  // namespace

int rotary_embedding(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
