// matmul: ONNX MatMul and Gemm.
//
//   y = epilogue(alpha · op(A) · op(B) + beta · bias)      op: as it is, or its last two axes swapped
//
// inputs   A [batch…, M, K] or [K], B [batch…, K, N] or [K]: float32, any strides; the batches broadcast
//          bias: float32, compact, broadcasts to y; further inputs: the epilogue's (cpu/lib/epilogue.h)
// outputs  y [batch…, M, N], any strides; without M or N where A or B is a vector
// attributes  trans_a, trans_b (0), alpha, beta (1), epilogue…
// tile     [steps of k in one pass, rows of A in one block]
// bytes moved: A and B once, y once; B again for each block of rows, y again for each pass over k.
//
// Batches that share B and lie evenly in A and y are one matrix with more rows. A constant B is packed into panels;
// another one is packed as it is read, unless there is one row or column: that is a matrix times a vector.
#include "cpu/call.h"
#include "cpu/lib/gemm_f32.h"
#include "cpu/lib/gemv_f32.h"
#include "cpu/lib/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

int matmul(const gk_call*);

namespace {

constexpr int kRank = 8;
constexpr int kA = 0, kB = 1, kBias = 2;

enum Algorithm : int32_t { kPacked, kUnpacked, kVector };

// Distances in elements.
struct Strides {
  int64_t batch[kRank];
  int64_t row, col;  // of A: m, k; of B: k, n; of bias and y: m, n
};

struct State {
  int64_t m, n, k, batches;
  int64_t batch[kRank];
  Strides a, b, bias, y;
  int64_t packed_batch[kRank];  // of packed B, in matrices
  float alpha, beta;
  int32_t batch_rank, workers;
  Algorithm algorithm;
  bool has_bias, bias_by_column;  // by_column: [N], to be added as it is
  bool by_row;                    // kVector: one column, a result per row
  bool detour;                    // y is computed compactly in the workspace, then copied
  int64_t scratch_floats;         // for each worker
  int64_t packed_floats;          // of one B
  uint64_t workspace_bytes;
  Epilogue epilogue;
};

// The matrices of a tensor and its batch axes, aligned with the output's to the right.
bool read_strides(const gk_tensor& tensor, int batch_rank, int rows, int cols, bool swap, const int64_t* batch,
                  Strides* strides) {
  const int axes = tensor.ndim - rows - cols;
  if (axes > batch_rank) return false;
  strides->row = rows != 0 ? stride_of(tensor, axes) : 0;
  strides->col = cols != 0 ? stride_of(tensor, axes + rows) : 0;
  if (swap) {
    const int64_t row = strides->row;
    strides->row = strides->col;
    strides->col = row;
  }
  for (int i = 0; i < batch_rank; ++i) {
    const int axis = i - (batch_rank - axes);
    const int64_t dim = axis < 0 ? 1 : tensor.shape[axis];
    if (dim != 1 && dim != batch[i]) return false;
    strides->batch[i] = dim == 1 ? 0 : stride_of(tensor, axis);
  }
  return true;
}

// A bias is aligned to the right with y as it is: an axis may stand for M, N or a batch.
bool read_bias(const gk_tensor& bias, const gk_tensor& y, int rows, int cols, State* s) {
  if (bias.ndim > y.ndim || !is_compact(bias)) return false;
  for (int i = 0; i < y.ndim; ++i) {
    const int axis = i - (y.ndim - bias.ndim);
    const int64_t dim = axis < 0 ? 1 : bias.shape[axis];
    if (dim != 1 && dim != y.shape[i]) return false;
    const int64_t stride = dim == 1 ? 0 : stride_of(bias, axis);
    if (i < s->batch_rank) {
      s->bias.batch[i] = stride;
    } else if (rows != 0 && i == s->batch_rank) {
      s->bias.row = stride;
    } else if (cols != 0) {
      s->bias.col = stride;
    }
  }
  return true;
}

void drop_batch_axis(State* s, int axis) {
  for (int i = axis; i + 1 < s->batch_rank; ++i) {
    s->batch[i] = s->batch[i + 1];
    s->a.batch[i] = s->a.batch[i + 1];
    s->b.batch[i] = s->b.batch[i + 1];
    s->bias.batch[i] = s->bias.batch[i + 1];
    s->y.batch[i] = s->y.batch[i + 1];
  }
  --s->batch_rank;
}

bool lies_like_rows(const Strides& strides, int axis, int64_t rows) {
  return strides.batch[axis] == rows * strides.row;
}

// Batches become rows as long as they lie like further rows.
void fold_batches(State* s) {
  for (int i = s->batch_rank - 1; i >= 0; --i) {
    if (s->batch[i] == 1) drop_batch_axis(s, i);
  }
  while (s->batch_rank > 0) {
    const int last = s->batch_rank - 1;
    if (s->b.batch[last] != 0) return;
    if (s->m == 1) {
      s->a.row = s->a.batch[last];
      s->bias.row = s->bias.batch[last];
      s->y.row = s->y.batch[last];
    } else if (!lies_like_rows(s->a, last, s->m) || !lies_like_rows(s->bias, last, s->m) ||
               !lies_like_rows(s->y, last, s->m)) {
      return;
    }
    s->m *= s->batch[last];
    --s->batch_rank;
  }
}

struct Offsets {
  int64_t a, b, bias, y, packed;
};

Offsets offsets_of(const State& s, int64_t batch) {
  Offsets offsets = {};
  for (int i = s.batch_rank - 1; i >= 0; --i) {
    const int64_t index = batch % s.batch[i];
    batch /= s.batch[i];
    offsets.a += index * s.a.batch[i];
    offsets.b += index * s.b.batch[i];
    offsets.bias += index * s.bias.batch[i];
    offsets.y += index * s.y.batch[i];
    offsets.packed += index * s.packed_batch[i];
  }
  return offsets;
}

// Everything of the matrix that does not depend on the batch.
GemmMatrix matrix_of(const State& s) {
  GemmMatrix matrix;
  matrix.m = s.m;
  matrix.n = s.n;
  matrix.k = s.k;
  matrix.lda = s.a.row;
  matrix.a_k_stride = s.a.col;
  matrix.ldc = s.y.row;
  matrix.b_packed = s.algorithm == kPacked;
  if (!matrix.b_packed) {
    matrix.b_k_stride = s.b.row;
    matrix.b_n_stride = s.b.col;
  }
  return matrix;
}

GemvMatrix vector_of(const State& s) {
  GemvMatrix matrix;
  matrix.out_stride = s.by_row ? s.a.row : s.b.col;
  matrix.k_stride = s.by_row ? s.a.col : s.b.row;
  matrix.x_stride = s.by_row ? s.b.row : s.a.col;
  matrix.k = s.k;
  return matrix;
}

bool reads_vector(const State& s) {
  const GemvMatrix matrix = vector_of(s);
  return (matrix.k_stride == 1 && matrix.x_stride == 1) || matrix.out_stride == 1;
}

constexpr int64_t kVectorPiece = 2048;  // results of a vector product at a time: they stay in the cache

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  if (call->input_count < 2 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr ||
      (call->attribute_count != 0 && call->attributes == nullptr)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &a = call->inputs[kA], &b = call->inputs[kB], &y = call->outputs[0];
  if (a.ndim < 1 || b.ndim < 1 || y.ndim < 0 || a.ndim > kRank || b.ndim > kRank || y.ndim > kRank) {
    return GK_INVALID_ARGUMENT;
  }
  if (!is_f32(a) || !is_f32(b) || !is_f32(y)) return GK_UNSUPPORTED;
  const int rows = a.ndim > 1, cols = b.ndim > 1;
  const bool trans_a = rows != 0 && int_attribute(call, "trans_a", 0) != 0;
  const bool trans_b = cols != 0 && int_attribute(call, "trans_b", 0) != 0;
  s->batch_rank = y.ndim - rows - cols;
  if (s->batch_rank < 0 || (a.ndim - 2 > s->batch_rank) || (b.ndim - 2 > s->batch_rank)) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < s->batch_rank; ++i) s->batch[i] = y.shape[i];
  // A vector A is one row whose elements are k, a vector B one column.
  if (!read_strides(a, s->batch_rank, rows, 1, trans_a, s->batch, &s->a) ||
      !read_strides(b, s->batch_rank, 1, cols, trans_b, s->batch, &s->b) ||
      !read_strides(y, s->batch_rank, rows, cols, false, s->batch, &s->y)) {
    return GK_INVALID_ARGUMENT;
  }
  s->m = rows != 0 ? a.shape[a.ndim - (trans_a ? 1 : 2)] : 1;
  s->k = a.shape[a.ndim - (trans_a ? 2 : 1)];
  s->n = cols != 0 ? b.shape[b.ndim - (trans_b ? 2 : 1)] : 1;
  if (b.shape[b.ndim - 1 - (cols != 0 && !trans_b ? 1 : 0)] != s->k) return GK_INVALID_ARGUMENT;
  if ((rows != 0 && y.shape[s->batch_rank] != s->m) || (cols != 0 && y.shape[s->batch_rank + rows] != s->n)) {
    return GK_INVALID_ARGUMENT;
  }
  s->alpha = static_cast<float>(float_attribute(call, "alpha", 1.0));
  s->beta = static_cast<float>(float_attribute(call, "beta", 1.0));
  const int first_extra = static_cast<int>(int_attribute(call, "epilogue_first", call->input_count));
  s->has_bias = has_input(call, kBias) && first_extra > kBias && s->beta != 0.0f;
  if (s->has_bias) {
    if (!is_f32(call->inputs[kBias])) return GK_UNSUPPORTED;
    if (!read_bias(call->inputs[kBias], y, rows, cols, s)) return GK_INVALID_ARGUMENT;
  }
  const bool compact = is_compact(y);
  const bool empty = element_count(y) == 0;
  if (!empty) fold_batches(s);
  s->batches = 1;
  for (int i = 0; i < s->batch_rank; ++i) s->batches *= s->batch[i];
  const int status = prepare_epilogue(call, s->batches, s->m, s->n, &s->epilogue);
  if (status != GK_OK || empty) return status;
  s->detour = (s->y.col != 1 && s->n > 1) || (!compact && !epilogue_is_tiled(s->epilogue));
  s->bias_by_column = s->has_bias && s->bias.row == 0 && s->beta == 1.0f && (s->bias.col == 1 || s->n == 1);
  for (int i = 0; i < s->batch_rank; ++i) s->bias_by_column = s->bias_by_column && s->bias.batch[i] == 0;
  // Whether a constant is packed may depend only on what is constant.
  const bool constant = is_constant(call, kB) && s->n > 1 && s->k > 0;
  s->by_row = s->n == 1;
  s->algorithm = constant ? kPacked : (s->m == 1 || s->n == 1) && reads_vector(*s) ? kVector : kUnpacked;
  int64_t matrices = 1;
  for (int i = s->batch_rank - 1; i >= 0; --i) {
    if (s->b.batch[i] == 0) continue;
    s->packed_batch[i] = matrices;
    matrices *= s->batch[i];
  }
  s->workers = worker_count(call);
  s->packed_floats = gemm_packed_floats(s->k, s->n);
  s->scratch_floats = s->algorithm == kVector ? kVectorPiece : gemm_scratch(call, matrix_of(*s)).floats();
  // One after the other: scratch of the workers, the results before they are copied.
  uint64_t bytes = static_cast<uint64_t>(s->workers) * static_cast<uint64_t>(s->scratch_floats) * 4;
  if (s->detour) bytes += static_cast<uint64_t>(element_count(y)) * 4;
  prepared->workspace_bytes = s->workspace_bytes = bytes == 0 ? 0 : bytes + GK_ALIGNMENT;
  if (s->algorithm == kPacked) {
    prepared->packed_bytes = static_cast<uint64_t>(matrices * s->packed_floats) * 4;
    prepared->packed_format = 1;
  }
  return GK_OK;
}

int pack(const gk_call* call, const State* s) {
  if (s->algorithm != kPacked) return GK_OK;
  const float* b = data_of<const float>(call->inputs[kB]);
  // Every index of the batch axes that B has.
  for (int64_t batch = 0; batch < s->batches; ++batch) {
    bool first = true;
    int64_t rest = batch;
    for (int i = s->batch_rank - 1; i >= 0; --i) {
      first = first && (s->b.batch[i] != 0 || rest % s->batch[i] == 0);
      rest /= s->batch[i];
    }
    if (!first) continue;
    const Offsets at = offsets_of(*s, batch);
    gemm_pack_b(b + at.b, s->b.row, s->b.col, s->k, s->n, 0, s->k,
                static_cast<float*>(call->packed) + at.packed * s->packed_floats);
  }
  return GK_OK;
}

struct Work {
  const gk_call* call;
  const State* state;
  const float *a, *b, *bias;
  float *y, *scratch;
  GemmGrid grid;
};

void set_finish(const Work& work, const Offsets& at, int64_t batch, GemmFinish* finish) {
  const State& s = *work.state;
  finish->alpha = s.alpha;
  finish->epilogue = &s.epilogue;
  finish->call = work.call;
  finish->outer = batch;
  if (!s.has_bias) return;
  if (s.bias_by_column) {
    finish->bias = work.bias;
    return;
  }
  finish->addend = work.bias + at.bias;
  finish->addend_rows = s.bias.row;
  finish->addend_cols = s.bias.col;
  finish->addend_scale = s.beta;
}

void matrices_body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Work& work = *static_cast<const Work*>(context);
  const State& s = *work.state;
  GemmMatrix matrix = matrix_of(s);
  const int64_t units = work.grid.units();
  while (begin < end) {
    const int64_t batch = begin / units, first = begin % units;
    const int64_t count = end - begin < units - first ? end - begin : units - first;
    const Offsets at = offsets_of(s, batch);
    matrix.a = work.a + at.a;
    matrix.b = work.b + (s.algorithm == kPacked ? at.packed * s.packed_floats : at.b);
    matrix.c = work.y + at.y;
    set_finish(work, at, batch, &matrix.finish);
    gemm_units(work.call, matrix, work.grid, first, first + count,
               s.scratch_floats == 0 ? nullptr : work.scratch + worker * s.scratch_floats);
    begin += count;
  }
}

// Results [from, from + count) of one vector product, summed: what an epilogue on registers does elsewhere.
void finish_vector(const Work& work, const float* sums, int64_t batch, int64_t from, int64_t count) {
  const State& s = *work.state;
  const Offsets at = offsets_of(s, batch);
  const int64_t y_step = s.by_row ? s.y.row : s.y.col, bias_step = s.by_row ? s.bias.row : s.bias.col;
  float* y = work.y + at.y + from * y_step;
  for (int64_t i = 0; i < count; ++i) {
    float sum = s.alpha == 1.0f ? sums[i] : s.alpha * sums[i];
    if (s.has_bias) sum += s.beta * work.bias[at.bias + (from + i) * bias_step];
    y[i * y_step] = sum;
  }
  if (!epilogue_is_tiled(s.epilogue) || !has_epilogue(s.epilogue)) return;
  if (s.by_row) {
    apply_epilogue(s.epilogue, work.call, y, y_step, batch, from, count, 0, 1);
  } else {
    apply_epilogue(s.epilogue, work.call, y, s.y.row, batch, 0, 1, from, count);
  }
}

void vectors_body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Work& work = *static_cast<const Work*>(context);
  const State& s = *work.state;
  const int64_t results = s.by_row ? s.m : s.n;
  float* sums = work.scratch + worker * s.scratch_floats;
  GemvMatrix matrix = vector_of(s);
  while (begin < end) {
    const int64_t batch = begin / results, first = begin % results;
    int64_t count = end - begin < results - first ? end - begin : results - first;
    count = count < kVectorPiece ? count : kVectorPiece;
    const Offsets at = offsets_of(s, batch);
    matrix.w = s.by_row ? work.a + at.a : work.b + at.b;
    matrix.x = s.by_row ? work.b + at.b : work.a + at.a;
    gemv_f32(matrix, first, first + count, sums);
    finish_vector(work, sums, batch, first, count);
    begin += count;
  }
}

int run(const gk_call* call, const State* s) {
  if (s->batches * s->m * s->n == 0) return GK_OK;
  if (call->workspace.size < s->workspace_bytes || (s->scratch_floats > 0 && worker_count(call) > s->workers)) {
    return GK_WORKSPACE_TOO_SMALL;
  }
  Work work = {call, s, data_of<const float>(call->inputs[kA]), nullptr, nullptr, nullptr, nullptr, {}};
  if (s->algorithm == kPacked) {
    work.b = static_cast<const float*>(call->packed);
  } else {
    work.b = data_of<const float>(call->inputs[kB]);
  }
  if (s->has_bias) work.bias = data_of<const float>(call->inputs[kBias]);
  const auto base = reinterpret_cast<uintptr_t>(call->workspace.data);
  work.scratch = reinterpret_cast<float*>((base + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT);
  work.y = data_of<float>(call->outputs[0]);
  State compact;
  gk_call on_workspace = *call;
  gk_tensor output = call->outputs[0];
  if (s->detour) {
    output.data = work.scratch + s->workers * s->scratch_floats;
    output.strides = nullptr;
    output.byte_offset = 0;
    on_workspace.outputs = &output;
    compact = *s;
    compact.y.col = 1;
    compact.y.row = s->n;
    int64_t step = s->m * s->n;
    for (int i = s->batch_rank - 1; i >= 0; --i) {
      compact.y.batch[i] = step;
      step *= s->batch[i];
    }
    work.y = static_cast<float*>(output.data);
    work.call = &on_workspace;
    work.state = &compact;
  }
  int status;
  if (s->algorithm == kVector) {
    const int64_t flops = 2 * (s->k < 1 ? 1 : s->k);
    status = parallel_for(call, s->batches * (s->by_row ? s->m : s->n), 16 + kGrainBytes / 2 / flops, vectors_body,
                          &work);
  } else {
    work.grid = gemm_grid(matrix_of(*s));
    const int64_t flops = 2 * s->m * s->n * (s->k < 1 ? 1 : s->k) / work.grid.units();
    status = parallel_for(call, s->batches * work.grid.units(), 1 + kGrainFlops / (flops < 1 ? 1 : flops),
                          matrices_body, &work);
  }
  if (status == GK_OK && !epilogue_is_tiled(s->epilogue)) status = apply_epilogue_whole(s->epilogue, work.call);
  if (status != GK_OK || !s->detour) return status;
  const gk_tensor& y = call->outputs[0];
  int64_t from[kRank], to[kRank];
  for (int i = 0; i < y.ndim; ++i) {
    from[i] = stride_of(output, i);
    to[i] = stride_of(y, i);
  }
  const StridedCopy copy = describe_copy(y.ndim, y.shape, from, to, 4);
  return run_copy(call, copy, reinterpret_cast<const char*>(work.y), reinterpret_cast<char*>(data_of<float>(y)));
}

}  // namespace

int matmul(const gk_call* call) { return run_phase<State, prepare, run, pack>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
