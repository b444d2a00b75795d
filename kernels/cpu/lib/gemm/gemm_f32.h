// Matrix products in float32: what matmul, convolutions and recurrent networks share.
//
//   y[i][j] = epilogue(alpha · Σ_t Σ_k a[t][i][k] · b[t·K + k][j] + bias[j])
//
// A is indirect: for each tap t and row i a pointer to K contiguous floats. A plain matrix has one tap and rows a
// fixed distance apart; a convolution has one tap per kernel position, and rows of padding point at zeros.
// B is packed in panels of kGemmCols columns: panel[k][column], K·taps rows, the last panel as many vectors wide as
// it needs, filled with zeros. Panels follow each other without gaps, so the rows of one tap are together.
//
// A tile of kGemmRows × kGemmCols results lives in registers while k runs; every result is summed over k in the same
// order whatever the tile, so it depends on neither the split into blocks nor the number of threads.
#pragma once

#include "cpu/call.h"
#include "cpu/lib/elementwise/epilogue.h"
#include "cpu/lib/gemm/gemm_blocking.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kGemmLanes = kVectorBytes / 4;
constexpr int kGemmCols = 2 * kGemmLanes;  // 32, 16, 8
constexpr int kGemmRows = kVectorRegisters == 32 ? (kVectorBytes == 64 ? 14 : 12) : kVectorBytes == 32 ? 6 : 4;
constexpr int kGemmUnroll = 4;             // steps of k that a tile takes at a time

// ---- packing B ----

// Floats of B with k rows (all taps together) and n columns once packed.
inline int64_t gemm_packed_floats(int64_t k, int64_t n) {
  return k * ((n + kGemmLanes - 1) / kGemmLanes * kGemmLanes);
}

// Where panel j / kGemmCols starts; j is a multiple of kGemmCols.
inline int64_t gemm_panel_offset(int64_t k, int64_t j) { return k * j; }

// Packs rows [k_first, k_first + k) of a B that has k_total rows: b[i · k_stride + j · n_stride] for i < k, j < n.
void gemm_pack_b(const float* b, int64_t k_stride, int64_t n_stride, int64_t k, int64_t n, int64_t k_first,
                 int64_t k_total, float* packed);

// ---- results ----

// What is done to the sums on their way to memory. Columns and rows are counted as in the epilogue's output.
struct GemmFinish {
  float alpha = 1.0f;
  const float* bias = nullptr;  // [n], by column
  // A matrix to add: + addend_scale · addend[row · addend_rows + col · addend_cols]; addend_cols is 0 or 1.
  const float* addend = nullptr;
  int64_t addend_rows = 0, addend_cols = 1;
  float addend_scale = 1.0f;
  // May be null; one that is not tiled is left to the caller.
  const Epilogue* epilogue = nullptr;
  const gk_call* call = nullptr;
  int64_t outer = 0;
};

// ---- one block on one thread ----

// Memory of a thread for a part of A or B that has to be copied before it is read, and the matrix it comes from:
// data[i · other_stride + k · k_stride], i a row of A or a column of B.
struct GemmCopy {
  const float* data = nullptr;
  int64_t other_stride = 0, k_stride = 0;
  float* scratch = nullptr;  // null: nothing is copied
  int64_t scratch_floats = 0;
};

struct GemmBlock {
  const float* const* rows = nullptr;  // a[t][i] = rows[t · tap_step + i], i < m
  int64_t tap_step = 0;
  int64_t taps = 1, k = 0;             // k floats per tap
  const float* b = nullptr;            // the panel of the block's first column, of gemm_packed_floats(taps · k, …)
  const float* next = nullptr;         // the panel that is read after this block: fetched ahead; or null
  int64_t m = 0, n = 0;                // n is a multiple of kGemmCols unless the block ends at B's last column
  float* c = nullptr;                  // the block's first result
  int64_t ldc = 0;
  int64_t row0 = 0, col0 = 0;          // of the block, in the output that `finish` speaks of
  GemmFinish finish;
  // For one tap only. `stage` in place of rows: A with its rows apart from each other in k, or so far apart that
  // they meet in the cache. `pack` in place of b: B that is not packed.
  GemmCopy stage, pack;
};

// Computes the block. Call it with m ≤ gemm_block_rows(): then the rows of A stay in the second-level cache while
// the panels of B pass. Zero taps or k give bias and epilogue of zero.
void gemm_block(const GemmBlock& block);

// ---- a whole matrix ----

struct GemmMatrix {
  const float* a = nullptr;      // [m][k], k contiguous unless the scratch has room for it
  int64_t lda = 0, a_k_stride = 1;
  const float* b = nullptr;      // packed; or else b[k · b_k_stride + j · b_n_stride]: then there must be scratch
  bool b_packed = true;
  int64_t b_k_stride = 0, b_n_stride = 0;
  float* c = nullptr;            // [m][ldc]
  int64_t ldc = 0;
  int64_t m = 0, n = 0, k = 0;
  GemmFinish finish;
  // gemm_scratch() floats for each worker; may be null where a is contiguous in k and b is packed.
  float* scratch = nullptr;
};

// Floats of scratch that each worker needs, or makes good use of.
struct GemmScratch {
  int64_t stage = 0, pack = 0;
  int64_t floats() const { return stage + pack; }
};
GemmScratch gemm_scratch(const gk_call* call, const GemmMatrix& matrix);

// How a matrix is cut: units of a few rows and columns, counted along rows or along columns.
struct GemmGrid {
  int64_t rows = 0, cols = 0, unit_rows = 0, unit_cols = 0;
  bool along_rows = false;
  int64_t units() const { return rows * cols; }
};
GemmGrid gemm_grid(const GemmMatrix& matrix);

// Units [begin, end) on this thread, with its own scratch.
void gemm_units(const gk_call* call, const GemmMatrix& matrix, const GemmGrid& grid, int64_t begin, int64_t end,
                float* scratch);

// All of it on the caller's threads, one parallel region; serial where call->parallel is null or there is little
// to do.
int gemm_f32(const gk_call* call, const GemmMatrix& matrix);

// The same on this thread.
void gemm_f32_serial(const gk_call* call, const GemmMatrix& matrix);

}  // namespace GK_LEVEL
}  // namespace graphopt
