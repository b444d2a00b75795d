// matmul: ONNX MatMul and Gemm.
//
//   y = epilogue(alpha · op(A) · op(B) + beta · bias)      op: as it is, or its last two axes swapped
//
// inputs   A [batch…, M, K] or [K], B [batch…, K, N] or [K]: float32, any strides; the batches broadcast
//          bias: float32, compact, broadcasts to y; further inputs: the epilogue's (cpu/lib/elementwise/epilogue.h)
// outputs  y [batch…, M, N], any strides; without M or N where A or B is a vector
// attributes  trans_a, trans_b (0), alpha, beta (1), epilogue…
// tile     [steps of k in one pass, rows of A in one block]
// bytes moved: A and B once, y once; B again for each block of rows, y again for each pass over k.
//
// Batches that share B and lie evenly in A and y are one matrix with more rows. A constant B is packed into panels;
// another one is packed as it is read, unless there is one row or column: that is a matrix times a vector.
#include "cpu/call.h"
#include "cpu/lib/gemm/gemm_f32.h"
#include "cpu/lib/gemm/gemv_f32.h"
#include "cpu/lib/gemm/matmul_shape.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

int matmul(const gk_call*);

namespace {

constexpr int kA = 0, kB = 1, kBias = 2;

enum Algorithm : int32_t { kPacked, kUnpacked, kVector };

struct State {
  MatmulShape shape;
  float alpha, beta;
  int32_t workers;
  Algorithm algorithm;
  bool has_bias, bias_by_column;  // by_column: [N], to be added as it is
  bool by_row;                    // kVector: one column, a result per row
  bool detour;                    // y is computed compactly in the workspace, then copied
  int64_t scratch_floats;         // for each worker
  int64_t packed_floats;          // of one B
  uint64_t workspace_bytes;
  Epilogue epilogue;
};

// Everything of the matrix that does not depend on the batch.
GemmMatrix matrix_of(const State& s) {
  GemmMatrix matrix;
  matrix.m = s.shape.m;
  matrix.n = s.shape.n;
  matrix.k = s.shape.k;
  matrix.lda = s.shape.a.row;
  matrix.a_k_stride = s.shape.a.col;
  matrix.ldc = s.shape.y.row;
  matrix.b_packed = s.algorithm == kPacked;
  if (!matrix.b_packed) {
    matrix.b_k_stride = s.shape.b.row;
    matrix.b_n_stride = s.shape.b.col;
  }
  return matrix;
}

GemvMatrix vector_of(const State& s) {
  GemvMatrix matrix;
  matrix.out_stride = s.by_row ? s.shape.a.row : s.shape.b.col;
  matrix.k_stride = s.by_row ? s.shape.a.col : s.shape.b.row;
  matrix.x_stride = s.by_row ? s.shape.b.row : s.shape.a.col;
  matrix.k = s.shape.k;
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
  MatmulShape& shape = s->shape;
  const bool trans_a = int_attribute(call, "trans_a", 0) != 0, trans_b = int_attribute(call, "trans_b", 0) != 0;
  if (!read_matmul(a, b, y, trans_a, trans_b, &shape)) return GK_INVALID_ARGUMENT;
  if (!is_f32(a) || !is_f32(b) || !is_f32(y)) return GK_UNSUPPORTED;
  s->alpha = static_cast<float>(float_attribute(call, "alpha", 1.0));
  s->beta = static_cast<float>(float_attribute(call, "beta", 1.0));
  const int first_extra = static_cast<int>(int_attribute(call, "epilogue_first", call->input_count));
  s->has_bias = has_input(call, kBias) && first_extra > kBias && s->beta != 0.0f;
  if (s->has_bias) {
    if (!is_f32(call->inputs[kBias])) return GK_UNSUPPORTED;
    if (!read_matmul_added(call->inputs[kBias], y, &shape)) return GK_INVALID_ARGUMENT;
  }
  const bool empty = element_count(y) == 0;
  shape.batches = 0;
  if (!empty) fold_matmul_batches(&shape);
  const int status = prepare_epilogue(call, empty ? 0 : shape.batches, shape.m, shape.n, &s->epilogue);
  if (status != GK_OK || empty) return status;
  s->detour = (shape.y.col != 1 && shape.n > 1) || (!is_compact(y) && !epilogue_is_tiled(s->epilogue));
  s->bias_by_column = s->has_bias && shape.added.row == 0 && s->beta == 1.0f && (shape.added.col == 1 || shape.n == 1);
  for (int i = 0; i < shape.batch_rank; ++i) s->bias_by_column = s->bias_by_column && shape.added.batch[i] == 0;
  // Whether a constant is packed may depend only on what is constant.
  const bool constant = is_constant(call, kB) && shape.n > 1 && shape.k > 0;
  s->by_row = shape.n == 1;
  s->algorithm = kUnpacked;
  if ((shape.m == 1 || shape.n == 1) && reads_vector(*s)) s->algorithm = kVector;
  if (constant) s->algorithm = kPacked;
  s->workers = worker_count(call);
  s->packed_floats = gemm_packed_floats(shape.k, shape.n);
  s->scratch_floats = s->algorithm == kVector ? kVectorPiece : gemm_scratch(call, matrix_of(*s)).floats();
  // One after the other: scratch of the workers, the results before they are copied.
  uint64_t bytes = static_cast<uint64_t>(s->workers) * static_cast<uint64_t>(s->scratch_floats) * 4;
  if (s->detour) bytes += static_cast<uint64_t>(element_count(y)) * 4;
  prepared->workspace_bytes = s->workspace_bytes = bytes == 0 ? 0 : bytes + GK_ALIGNMENT;
  if (s->algorithm == kPacked) {
    prepared->packed_bytes = static_cast<uint64_t>(shape.packed_count * s->packed_floats) * 4;
    prepared->packed_format = 1;
  }
  return GK_OK;
}

int pack(const gk_call* call, const State* s) {
  if (s->algorithm != kPacked) return GK_OK;
  const float* b = data_of<const float>(call->inputs[kB]);
  for (int64_t i = 0; i < s->shape.packed_count; ++i) {
    gemm_pack_b(b + packed_matrix_offset(s->shape, i), s->shape.b.row, s->shape.b.col, s->shape.k, s->shape.n, 0,
                s->shape.k, static_cast<float*>(call->packed) + i * s->packed_floats);
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

void set_finish(const Work& work, const MatmulOffsets& at, int64_t batch, GemmFinish* finish) {
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
  finish->addend = work.bias + at.added;
  finish->addend_rows = s.shape.added.row;
  finish->addend_cols = s.shape.added.col;
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
    const MatmulOffsets at = matmul_offsets(s.shape, batch);
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
  const MatmulOffsets at = matmul_offsets(s.shape, batch);
  const int64_t y_step = s.by_row ? s.shape.y.row : s.shape.y.col;
  const int64_t bias_step = s.by_row ? s.shape.added.row : s.shape.added.col;
  float* y = work.y + at.y + from * y_step;
  for (int64_t i = 0; i < count; ++i) {
    float sum = s.alpha == 1.0f ? sums[i] : s.alpha * sums[i];
    if (s.has_bias) sum += s.beta * work.bias[at.added + (from + i) * bias_step];
    y[i * y_step] = sum;
  }
  if (!epilogue_is_tiled(s.epilogue) || !has_epilogue(s.epilogue)) return;
  if (s.by_row) {
    apply_epilogue(s.epilogue, work.call, y, y_step, batch, from, count, 0, 1);
  } else {
    apply_epilogue(s.epilogue, work.call, y, s.shape.y.row, batch, 0, 1, from, count);
  }
}

void vectors_body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Work& work = *static_cast<const Work*>(context);
  const State& s = *work.state;
  const int64_t results = s.by_row ? s.shape.m : s.shape.n;
  float* sums = work.scratch + worker * s.scratch_floats;
  GemvMatrix matrix = vector_of(s);
  while (begin < end) {
    const int64_t batch = begin / results, first = begin % results;
    int64_t count = end - begin < results - first ? end - begin : results - first;
    count = count < kVectorPiece ? count : kVectorPiece;
    const MatmulOffsets at = matmul_offsets(s.shape, batch);
    matrix.w = s.by_row ? work.a + at.a : work.b + at.b;
    matrix.x = s.by_row ? work.b + at.b : work.a + at.a;
    gemv_f32(matrix, first, first + count, sums);
    finish_vector(work, sums, batch, first, count);
    begin += count;
  }
}

int run(const gk_call* call, const State* s) {
  if (s->shape.batches * s->shape.m * s->shape.n == 0) return GK_OK;
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
    compact.shape.y.col = 1;
    compact.shape.y.row = s->shape.n;
    int64_t step = s->shape.m * s->shape.n;
    for (int i = s->shape.batch_rank - 1; i >= 0; --i) {
      compact.shape.y.batch[i] = step;
      step *= s->shape.batch[i];
    }
    work.y = static_cast<float*>(output.data);
    work.call = &on_workspace;
    work.state = &compact;
  }
  int status;
  if (s->algorithm == kVector) {
    const int64_t results = s->shape.batches * (s->by_row ? s->shape.m : s->shape.n);
    const int64_t bytes = 4 * (s->shape.k < 1 ? 1 : s->shape.k);
    status = parallel_for(call, results, 16 + kGrainBytes / bytes, vectors_body, &work);
  } else {
    work.grid = gemm_grid(matrix_of(*s));
    const int64_t flops = 2 * s->shape.m * s->shape.n * (s->shape.k < 1 ? 1 : s->shape.k) / work.grid.units();
    status = parallel_for(call, s->shape.batches * work.grid.units(), 1 + kGrainFlops / (flops < 1 ? 1 : flops),
                          matrices_body, &work);
  }
  if (status == GK_OK && !epilogue_is_tiled(s->epilogue)) status = apply_epilogue_whole(s->epilogue, work.call);
  if (status != GK_OK || !s->detour) return status;
  const gk_tensor& y = call->outputs[0];
  int64_t from[kMatmulRank], to[kMatmulRank];
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
