// Packing and whole matrices of gemm_f32.h.
#include "cpu/lib/gemm_f32.h"

#include "cpu/lib/gemm_blocking.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int64_t kL1Bytes = 48 * 1024, kL2Bytes = 1024 * 1024;
constexpr int64_t kMostBlockRows = 256;

struct Work {
  const gk_call* call;
  const GemmMatrix* matrix;
  int64_t row_units, col_units;  // the grid of units; a chunk is a range of it, column by column
  int64_t unit_rows, unit_cols;
};

void run_rectangle(const gk_call* call, const GemmMatrix& matrix, int64_t row0, int64_t row1, int64_t col0,
                   int64_t col1) {
  const int64_t most = gemm_block_rows(call, matrix.k, matrix.n);
  const int64_t blocks = (row1 - row0 + most - 1) / most;
  const float* rows[kMostBlockRows];
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t row = row0 + (row1 - row0) * i / blocks, end = row0 + (row1 - row0) * (i + 1) / blocks;
    for (int64_t r = row; r < end; ++r) rows[r - row] = matrix.a + r * matrix.lda;
    GemmBlock block;
    block.rows = rows;
    block.k = matrix.k;
    block.b = matrix.b + gemm_panel_offset(matrix.k, col0);
    block.m = end - row;
    block.n = col1 - col0;
    block.c = matrix.c + row * matrix.ldc + col0;
    block.ldc = matrix.ldc;
    block.row0 = row;
    block.col0 = col0;
    block.finish = matrix.finish;
    gemm_block(block);
  }
}

int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

// Units [begin, end) of the grid: part of a column of units, whole columns, part of a column.
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  const GemmMatrix& matrix = *work.matrix;
  while (begin < end) {
    const int64_t row = begin % work.row_units, col = begin / work.row_units;
    int64_t rows = at_most(work.row_units - row, end - begin), cols = 1;
    if (row == 0 && rows == work.row_units) cols = (end - begin) / work.row_units;
    run_rectangle(work.call, matrix, row * work.unit_rows, at_most((row + rows) * work.unit_rows, matrix.m),
                  col * work.unit_cols, at_most((col + cols) * work.unit_cols, matrix.n));
    begin += rows * cols;
  }
}

}  // namespace

int64_t gemm_depth_limit(const gk_call* call) {
  if (call != nullptr && call->tile != nullptr && call->tile->count > 0 && call->tile->values[0] > 0) {
    return call->tile->values[0];
  }
  return kL1Bytes / 2 / (kGemmCols * 4);
}

int64_t gemm_block_rows(const gk_call* call, int64_t k, int64_t) {
  if (call != nullptr && call->tile != nullptr && call->tile->count > 1 && call->tile->values[1] > 0) {
    return at_most(call->tile->values[1], kMostBlockRows);
  }
  const int64_t depth = at_most(k < 1 ? 1 : k, gemm_depth_limit(call));
  const int64_t rows = at_most(kL2Bytes / 4 / (depth * 4), kMostBlockRows);
  return rows / kGemmRows * kGemmRows;
}

void gemm_pack_b(const float* b, int64_t k_stride, int64_t n_stride, int64_t k, int64_t n, int64_t k_first,
                 int64_t k_total, float* packed) {
  for (int64_t j = 0; j < n; j += kGemmCols) {
    const int64_t left = n - j, width = left <= kGemmLanes ? kGemmLanes : kGemmCols, cols = at_most(left, width);
    float* to = packed + gemm_panel_offset(k_total, j) + k_first * width;
    for (int64_t i = 0; i < k; ++i, to += width) {
      const float* from = b + i * k_stride + j * n_stride;
      for (int64_t c = 0; c < cols; ++c) to[c] = from[c * n_stride];
      for (int64_t c = cols; c < width; ++c) to[c] = 0.0f;
    }
  }
}

void gemm_f32_serial(const gk_call* call, const GemmMatrix& matrix) {
  run_rectangle(call, matrix, 0, matrix.m, 0, matrix.n);
}

int gemm_f32(const gk_call* call, const GemmMatrix& matrix) {
  if (matrix.m <= 0 || matrix.n <= 0) return GK_OK;
  Work work = {call, &matrix, 0, 0, kGemmRows, kGemmCols};
  work.row_units = (matrix.m + work.unit_rows - 1) / work.unit_rows;
  work.col_units = (matrix.n + work.unit_cols - 1) / work.unit_cols;
  const int64_t flops = 2 * work.unit_rows * work.unit_cols * (matrix.k < 1 ? 1 : matrix.k);
  return parallel_for(call, work.row_units * work.col_units, 1 + kGrainFlops / flops, body, &work);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
