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
#include "cpu/lib/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kGemmLanes = kVectorBytes / 4;
constexpr int kGemmCols = 2 * kGemmLanes;  // 32, 16, 8
constexpr int kGemmRows = kVectorRegisters == 32 ? (kVectorBytes == 64 ? 14 : 12) : kVectorBytes == 32 ? 6 : 4;

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

struct GemmBlock {
  const float* const* rows = nullptr;  // a[t][i] = rows[t · tap_step + i], i < m
  int64_t tap_step = 0;
  int64_t taps = 1, k = 0;             // k floats per tap
  const float* b = nullptr;            // the panel of the block's first column, of gemm_packed_floats(taps · k, …)
  int64_t m = 0, n = 0;                // n is a multiple of kGemmCols unless the block ends at B's last column
  float* c = nullptr;                  // the block's first result
  int64_t ldc = 0;
  int64_t row0 = 0, col0 = 0;          // of the block, in the output that `finish` speaks of
  GemmFinish finish;
};

// Computes the block. Call it with m ≤ gemm_block_rows(): then the rows of A stay in the second-level cache while
// the panels of B pass. Zero taps or k give bias and epilogue of zero.
void gemm_block(const GemmBlock& block);

// Rows that a block of that depth (taps · k) and width should have.
int64_t gemm_block_rows(const gk_call* call, int64_t k, int64_t n);

// ---- a whole matrix on the caller's threads ----

struct GemmMatrix {
  const float* a = nullptr;  // [m][lda], k contiguous
  int64_t lda = 0;
  const float* b = nullptr;  // packed
  float* c = nullptr;        // [m][ldc]
  int64_t ldc = 0;
  int64_t m = 0, n = 0, k = 0;
  GemmFinish finish;
};

// One parallel region, split over rows and columns so that no thread is idle; serial where call->parallel is null
// or there is little to do.
int gemm_f32(const gk_call* call, const GemmMatrix& matrix);

// The same on this thread.
void gemm_f32_serial(const gk_call* call, const GemmMatrix& matrix);

}  // namespace GK_LEVEL
}  // namespace graphopt
