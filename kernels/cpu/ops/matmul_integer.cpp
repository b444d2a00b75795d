// matmul_integer: ONNX MatMulInteger.
//
//   y[i][j] = Σ_k (a[i][k] - a_zero[i]) · (b[k][j] - b_zero[j])     in int32, which wraps
//
// inputs   A [batch…, M, K] or [K], B [batch…, K, N] or [K]: uint8 or int8, any strides; the batches broadcast
//          a_zero: as A, one element, [M] or [M, 1]; b_zero: as B, one element, [N] or [1, N]; absent: 0
// outputs  y [batch…, M, N], int32, compact
// tile     [steps of four k in one pass, rows of A in one block]
// bytes moved: A once and its copy twice, B once for each block of rows, y once for each pass over k.
//
// Dot products take unsigned bytes of A and signed ones of B: others are moved by 128 as they are copied, and the
// zero points with them. The zero points are left out of the products and corrected for by the sums of rows and
// columns. Structure and block sizes are those of float32 (gemm_int8.h).
#include "cpu/call.h"
#include "cpu/lib/gemm/gemm_blocking.h"
#include "cpu/lib/gemm/gemm_int8.h"
#include "cpu/lib/gemm/matmul_shape.h"

namespace graphopt {
namespace GK_LEVEL {

int matmul_integer(const gk_call*);

namespace {

constexpr int kA = 0, kB = 1, kAZero = 2, kBZero = 3;

struct State {
  MatmulShape shape;
  int32_t workers;
  bool packed;                   // B is packed once
  uint8_t flip_a, flip_b;
  int64_t a_zeros, b_zeros;      // how many zero points there are: 0, 1, or one for each row or column
  int64_t block_rows, depth_limit;
  int64_t matrix_bytes;          // of one packed B
  int64_t packs, terms, staged;  // workspace: all packed B, terms of the columns, rows of each worker (bytes)
};

int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t aligned(int64_t bytes) { return (bytes + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT; }

bool is_byte(const gk_tensor& tensor) { return is_dtype(tensor, GK_INT, 8) || is_dtype(tensor, GK_UINT, 8); }

// A zero point: none, one, or `each` along the axis counted from the end.
bool read_zeros(const gk_call* call, int index, const gk_tensor& of, int axis_from_end, int64_t each, int64_t* count) {
  *count = 0;
  if (!has_input(call, index)) return true;
  const gk_tensor& zero = call->inputs[index];
  if (zero.dtype.code != of.dtype.code || zero.dtype.bits != of.dtype.bits || !is_compact(zero)) return false;
  *count = element_count(zero);
  if (*count == 1) return true;
  if (*count != each) return false;
  if (zero.ndim == 1) return true;
  return zero.ndim >= axis_from_end && zero.shape[zero.ndim - axis_from_end] == each;
}

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  if (call->input_count < 2 || call->output_count != 1 || call->inputs == nullptr || call->outputs == nullptr) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &a = call->inputs[kA], &b = call->inputs[kB], &y = call->outputs[0];
  MatmulShape& shape = s->shape;
  if (!read_matmul(a, b, y, false, false, &shape) || !is_compact(y)) return GK_INVALID_ARGUMENT;
  if (!is_byte(a) || !is_byte(b) || !is_dtype(y, GK_INT, 32)) return GK_UNSUPPORTED;
  if (!read_zeros(call, kAZero, a, 2, shape.m, &s->a_zeros) || !read_zeros(call, kBZero, b, 1, shape.n, &s->b_zeros)) {
    return GK_INVALID_ARGUMENT;
  }
  shape.batches = 0;
  if (element_count(y) == 0) return GK_OK;
  // Zero points by row repeat with every batch: rows of several batches stay apart.
  if (s->a_zeros <= 1) {
    fold_matmul_batches(&shape);
  } else {
    shape.batches = shape.packed_count = 1;
    for (int i = shape.batch_rank - 1; i >= 0; --i) {
      shape.batches *= shape.batch[i];
      shape.packed_batch[i] = shape.b.batch[i] == 0 ? 0 : shape.packed_count;
      if (shape.b.batch[i] != 0) shape.packed_count *= shape.batch[i];
    }
  }
  s->workers = worker_count(call);
  s->packed = is_constant(call, kB);
  s->flip_a = a.dtype.code == GK_INT ? 0x80 : 0;
  s->flip_b = b.dtype.code == GK_UINT ? 0x80 : 0;
  const int64_t depth = int8_depth(shape.k);
  s->depth_limit = GK_VECTOR_LEVEL::gemm_depth_limit(call);
  // A block is staged with all of its depth: as many bytes as one of float32 in one pass.
  s->block_rows = GK_VECTOR_LEVEL::gemm_block_rows(call, depth, shape.n);
  if (depth > s->depth_limit) s->block_rows = s->block_rows * s->depth_limit / depth + 1;
  s->matrix_bytes = aligned(int8_packed_bytes(shape.k, shape.n));
  s->packs = s->packed ? 0 : shape.packed_count * s->matrix_bytes;
  s->terms = aligned(shape.packed_count * 2 * int8_padded_cols(shape.n) * 4);
  s->staged = aligned(s->block_rows * depth * 4);
  prepared->workspace_bytes = static_cast<uint64_t>(GK_ALIGNMENT + s->packs + s->terms + s->workers * s->staged);
  if (s->packed) {
    prepared->packed_bytes = static_cast<uint64_t>(shape.packed_count * s->matrix_bytes);
    prepared->packed_format = 1;
  }
  return GK_OK;
}

struct Work {
  const State* state;
  const uint8_t *a, *b;
  const gk_tensor *a_zero, *b_zero;
  char* packs;
  uint32_t* terms;  // per packed B: what a zero point of A is multiplied with, zero points of B; a line each
  char* staged;
  int32_t* y;
  int64_t row_units, panels;
};

// Zero point `index`, moved like the bytes it belongs to.
uint32_t zero_at(const gk_tensor* zero, int64_t count, int64_t index, uint8_t flip, bool is_signed) {
  const uint8_t byte = count == 0 ? 0 : *(data_of<const uint8_t>(*zero) + (count == 1 ? 0 : index));
  const uint8_t moved = static_cast<uint8_t>(byte ^ flip);
  return static_cast<uint32_t>(is_signed ? static_cast<int32_t>(static_cast<int8_t>(moved)) : moved);
}

void pack_panels(const State& s, const uint8_t* b, char* to, int64_t begin, int64_t end) {
  const int64_t panels = int8_padded_cols(s.shape.n) / kInt8Cols;
  for (int64_t i = begin; i < end; ++i) {
    int8_pack_b(b + packed_matrix_offset(s.shape, i / panels), s.shape.b.row, s.shape.b.col, s.shape.k, s.shape.n,
                s.flip_b, i % panels, i % panels + 1, to + i / panels * s.matrix_bytes);
  }
}

int pack(const gk_call* call, const State* s) {
  const int64_t panels = int8_padded_cols(s->shape.n) / kInt8Cols;
  if (s->shape.batches == 0) return GK_OK;
  pack_panels(*s, data_of<const uint8_t>(call->inputs[kB]), static_cast<char*>(call->packed), 0,
              panels * s->shape.packed_count);
  return GK_OK;
}

void pack_body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  pack_panels(*work.state, work.b, work.packs, begin, end);
}

void set_terms(const Work& work) {
  const State& s = *work.state;
  const int64_t cols = int8_padded_cols(s.shape.n);
  for (int64_t matrix = 0; matrix < s.shape.packed_count; ++matrix) {
    const int32_t* sums = int8_column_sums(work.packs + matrix * s.matrix_bytes, s.shape.k, s.shape.n);
    uint32_t *columns = work.terms + matrix * 2 * cols, *zeros = columns + cols;
    for (int64_t j = 0; j < cols; ++j) {
      zeros[j] = j < s.shape.n ? zero_at(work.b_zero, s.b_zeros, j, s.flip_b, true) : 0;
      columns[j] = static_cast<uint32_t>(sums[j]) - static_cast<uint32_t>(s.shape.k) * zeros[j];
    }
  }
}

// Rows [row, row + rows) of one batch, panels [from, to).
void run_block(const Work& work, const MatmulOffsets& at, int64_t row, int64_t rows, int64_t from, int64_t to,
               uint8_t* staged) {
  const State& s = *work.state;
  const int64_t depth = int8_depth(s.shape.k), lda = depth * 4, cols = int8_padded_cols(s.shape.n);
  uint32_t row_sums[GK_VECTOR_LEVEL::kGemmMostRows], a_zero[GK_VECTOR_LEVEL::kGemmMostRows];
  for (int64_t i = 0; i < rows; ++i) {
    row_sums[i] = int8_stage_row(work.a + at.a + (row + i) * s.shape.a.row, s.shape.a.col, s.shape.k, s.flip_a,
                                 staged + i * lda);
    a_zero[i] = zero_at(work.a_zero, s.a_zeros, row + i, s.flip_a, false);
  }
  const auto* packed = reinterpret_cast<const int8_t*>(work.packs + at.packed * s.matrix_bytes);
  const uint32_t* terms = work.terms + at.packed * 2 * cols;
  const int64_t passes = depth <= s.depth_limit ? 1 : (depth + s.depth_limit - 1) / s.depth_limit;
  const int64_t tiles = (rows + kInt8Rows - 1) / kInt8Rows;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const int64_t k = depth * pass / passes;
    Int8Tile tile = {};
    tile.lda = lda;
    tile.depth = depth * (pass + 1) / passes - k;
    tile.ldy = s.shape.n;
    tile.first = pass == 0;
    tile.last = pass == passes - 1;
    for (int64_t panel = from; panel < to; ++panel) {
      const int64_t col = panel * kInt8Cols;
      tile.b = packed + (panel * depth + k) * kInt8Cols * 4;
      tile.cols = at_most(kInt8Cols, s.shape.n - col);
      tile.columns = terms + col;
      tile.b_zero = terms + cols + col;
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t i = rows * t / tiles, end = rows * (t + 1) / tiles;
        tile.a = staged + i * lda + k * 4;
        tile.y = work.y + at.y + (row + i) * s.shape.n + col;
        tile.a_zero = a_zero + i;
        tile.row_sums = row_sums + i;
        Int8TileTable::of[end - i - 1](tile);
      }
    }
  }
}

// Units are (batch, block of rows, panel).
void multiply_body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Work& work = *static_cast<const Work*>(context);
  const State& s = *work.state;
  auto* staged = reinterpret_cast<uint8_t*>(work.staged + worker * s.staged);
  while (begin < end) {
    const int64_t panel = begin % work.panels, unit = begin / work.panels % work.row_units;
    const int64_t batch = begin / work.panels / work.row_units;
    const int64_t count = at_most(end - begin, work.panels - panel);
    const int64_t row = s.shape.m * unit / work.row_units, last = s.shape.m * (unit + 1) / work.row_units;
    run_block(work, matmul_offsets(s.shape, batch), row, last - row, panel, panel + count, staged);
    begin += count;
  }
}

int run(const gk_call* call, const State* s) {
  if (s->shape.batches == 0) return GK_OK;
  const int64_t bytes = GK_ALIGNMENT + s->packs + s->terms + s->workers * s->staged;
  if (static_cast<int64_t>(call->workspace.size) < bytes || worker_count(call) > s->workers) {
    return GK_WORKSPACE_TOO_SMALL;
  }
  char* workspace = static_cast<char*>(call->workspace.data);
  workspace += (GK_ALIGNMENT - reinterpret_cast<uintptr_t>(workspace) % GK_ALIGNMENT) % GK_ALIGNMENT;
  Work work = {};
  work.state = s;
  work.a = data_of<const uint8_t>(call->inputs[kA]);
  work.b = data_of<const uint8_t>(call->inputs[kB]);
  work.a_zero = s->a_zeros == 0 ? nullptr : &call->inputs[kAZero];
  work.b_zero = s->b_zeros == 0 ? nullptr : &call->inputs[kBZero];
  work.packs = s->packed ? static_cast<char*>(call->packed) : workspace;
  work.terms = reinterpret_cast<uint32_t*>(workspace + s->packs);
  work.staged = workspace + s->packs + s->terms;
  work.y = data_of<int32_t>(call->outputs[0]);
  work.panels = int8_padded_cols(s->shape.n) / kInt8Cols;
  work.row_units = (s->shape.m + s->block_rows - 1) / s->block_rows;
  if (!s->packed) {
    const int64_t panel_bytes = kInt8Cols * (s->shape.k + 1);
    const int status = parallel_for(call, work.panels * s->shape.packed_count, 1 + kGrainBytes / 4 / panel_bytes,
                                    pack_body, &work);
    if (status != GK_OK) return status;
  }
  set_terms(work);
  const int64_t units = s->shape.batches * work.row_units * work.panels;
  const int64_t operations = 2 * (s->shape.m / work.row_units + 1) * kInt8Cols * (s->shape.k + 1);
  // Four times as many operations as of floats take the same time.
  return parallel_for(call, units, 1 + 4 * kGrainFlops / operations, multiply_body, &work);
}

}  // namespace

int matmul_integer(const gk_call* call) { return run_phase<State, prepare, run, pack>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
