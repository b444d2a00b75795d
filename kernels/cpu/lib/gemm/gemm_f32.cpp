// Whole matrices of gemm_f32.h: cut for the threads, then into blocks of rows.
#include "cpu/lib/gemm/gemm_f32.h"

#include "cpu/lib/gemm/gemm_blocking.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// Panels of B that are packed at a time: the more, the longer the pieces in which B is read.
constexpr int64_t kPackedPanels = 4;
// Rows this far apart share a set of the first-level cache.
constexpr int64_t kAliasedBytes = 4096;

int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t units_of(int64_t length, int64_t unit) { return (length + unit - 1) / unit; }

bool wants_stage(const GemmMatrix& matrix) {
  if (matrix.a_k_stride != 1) return true;
  return matrix.lda * 4 % kAliasedBytes == 0 && matrix.m > kGemmRows / 2 && matrix.n >= 4 * kGemmCols;
}

struct Work {
  const gk_call* call;
  const GemmMatrix* matrix;
  GemmGrid grid;
  int64_t scratch_floats;
};

void run_rectangle(const gk_call* call, const GemmMatrix& matrix, int64_t row0, int64_t row1, int64_t col0,
                   int64_t col1, float* scratch) {
  const int64_t most = gemm_block_rows(call, matrix.k, matrix.n);
  const int64_t blocks = units_of(row1 - row0, most);
  const GemmScratch sizes = scratch == nullptr ? GemmScratch{} : gemm_scratch(call, matrix);
  const float* rows[kGemmMostRows];
  GemmBlock block;
  block.k = matrix.k;
  block.n = col1 - col0;
  block.ldc = matrix.ldc;
  block.col0 = col0;
  block.finish = matrix.finish;
  block.rows = rows;
  if (matrix.b_packed) {
    block.b = matrix.b + gemm_panel_offset(matrix.k, col0);
  } else {
    block.pack = {matrix.b + col0 * matrix.b_n_stride, matrix.b_n_stride, matrix.b_k_stride, scratch + sizes.stage,
                  sizes.pack};
  }
  for (int64_t i = 0; i < blocks; ++i) {
    block.row0 = row0 + (row1 - row0) * i / blocks;
    block.m = row0 + (row1 - row0) * (i + 1) / blocks - block.row0;
    block.c = matrix.c + block.row0 * matrix.ldc + col0;
    const float* a = matrix.a + block.row0 * matrix.lda;
    if (sizes.stage > 0) {
      block.stage = {a, matrix.lda, matrix.a_k_stride, scratch, sizes.stage};
    }
    for (int64_t r = 0; r < block.m; ++r) rows[r] = a + r * matrix.lda;
    gemm_block(block);
  }
}

void body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Work& work = *static_cast<const Work*>(context);
  float* scratch = work.matrix->scratch == nullptr ? nullptr : work.matrix->scratch + worker * work.scratch_floats;
  gemm_units(work.call, *work.matrix, work.grid, begin, end, scratch);
}

}  // namespace

GemmScratch gemm_scratch(const gk_call* call, const GemmMatrix& matrix) {
  GemmScratch scratch;
  // Equal parts of k are rounded up to a cache line, and staged rows lie one further apart.
  const int64_t depth = at_most(matrix.k, gemm_depth_limit(call) + 15);
  if (wants_stage(matrix)) {
    scratch.stage = at_most(matrix.m, gemm_block_rows(call, matrix.k, matrix.n)) * (units_of(depth, 16) * 16 + 16);
  }
  if (!matrix.b_packed) {
    scratch.pack = (depth < 1 ? 1 : depth) * kGemmCols * at_most(kPackedPanels, units_of(matrix.n, kGemmCols));
  }
  scratch.stage = units_of(scratch.stage, 16) * 16;
  scratch.pack = units_of(scratch.pack, 16) * 16;
  return scratch;
}

GemmGrid gemm_grid(const GemmMatrix& matrix) {
  GemmGrid grid = {units_of(matrix.m, kGemmRows), units_of(matrix.n, kGemmCols), kGemmRows, kGemmCols, false};
  // A thread reads all of A if the columns are split and all of B if the rows are; packing B costs more.
  grid.along_rows = matrix.m > (matrix.b_packed ? 1 : 4) * matrix.n;
  return grid;
}

void gemm_units(const gk_call* call, const GemmMatrix& matrix, const GemmGrid& grid, int64_t begin, int64_t end,
                float* scratch) {
  // Part of a line of units, whole lines, part of a line.
  const int64_t line = grid.along_rows ? grid.cols : grid.rows;
  while (begin < end) {
    const int64_t across = begin % line, along = begin / line;
    const int64_t length = at_most(line - across, end - begin);
    const int64_t count = length == line ? (end - begin) / line : 1;
    const int64_t row = grid.along_rows ? along : across, rows = grid.along_rows ? count : length;
    const int64_t col = grid.along_rows ? across : along, cols = grid.along_rows ? length : count;
    run_rectangle(call, matrix, row * grid.unit_rows, at_most((row + rows) * grid.unit_rows, matrix.m),
                  col * grid.unit_cols, at_most((col + cols) * grid.unit_cols, matrix.n), scratch);
    begin += length * count;
  }
}

void gemm_f32_serial(const gk_call* call, const GemmMatrix& matrix) {
  if (matrix.m > 0 && matrix.n > 0) run_rectangle(call, matrix, 0, matrix.m, 0, matrix.n, matrix.scratch);
}

int gemm_f32(const gk_call* call, const GemmMatrix& matrix) {
  if (matrix.m <= 0 || matrix.n <= 0) return GK_OK;
  Work work = {call, &matrix, gemm_grid(matrix), gemm_scratch(call, matrix).floats()};
  const int64_t flops = 2 * work.grid.unit_rows * work.grid.unit_cols * (matrix.k < 1 ? 1 : matrix.k);
  return parallel_for(call, work.grid.units(), 1 + kGrainFlops / flops, body, &work);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
