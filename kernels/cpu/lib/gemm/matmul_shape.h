// Shapes and strides of a batched matrix product, whatever its dtypes: numpy's rules for vectors, matrices and
// batches, transposed factors, and batches that are one matrix with more rows.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kMatmulRank = 8;

// Distances in elements.
struct MatmulStrides {
  int64_t batch[kMatmulRank];
  int64_t row, col;  // of A: m, k; of B: k, n; of y and what is added to it: m, n
};

struct MatmulShape {
  int64_t m, n, k, batches;
  int64_t batch[kMatmulRank];
  MatmulStrides a, b, added, y;  // `added`: a bias, which the operator fills
  int64_t packed_batch[kMatmulRank], packed_count;  // matrices of B once packed
  int32_t batch_rank;
  bool rows, cols;  // y has an axis for m, for n
};

struct MatmulOffsets {
  int64_t a, b, added, y, packed;
};

// The matrices of a tensor and its batch axes, aligned with the output's to the right.
inline bool read_matmul_strides(const gk_tensor& tensor, const MatmulShape& shape, int rows, int cols, bool swap,
                                MatmulStrides* strides) {
  const int axes = tensor.ndim - rows - cols;
  if (axes > shape.batch_rank) return false;
  strides->row = rows != 0 ? stride_of(tensor, axes) : 0;
  strides->col = cols != 0 ? stride_of(tensor, axes + rows) : 0;
  if (swap) {
    const int64_t row = strides->row;
    strides->row = strides->col;
    strides->col = row;
  }
  for (int i = 0; i < shape.batch_rank; ++i) {
    const int axis = i - (shape.batch_rank - axes);
    const int64_t dim = axis < 0 ? 1 : tensor.shape[axis];
    if (dim != 1 && dim != shape.batch[i]) return false;
    strides->batch[i] = dim == 1 ? 0 : stride_of(tensor, axis);
  }
  return true;
}

// Reads and checks the shapes of A, B and y; says nothing about dtypes.
inline bool read_matmul(const gk_tensor& a, const gk_tensor& b, const gk_tensor& y, bool trans_a, bool trans_b,
                        MatmulShape* s) {
  if (a.ndim < 1 || b.ndim < 1 || y.ndim < 0) return false;
  if (a.ndim > kMatmulRank || b.ndim > kMatmulRank || y.ndim > kMatmulRank) return false;
  s->rows = a.ndim > 1;
  s->cols = b.ndim > 1;
  trans_a = trans_a && s->rows;
  trans_b = trans_b && s->cols;
  s->batch_rank = y.ndim - s->rows - s->cols;
  if (s->batch_rank < 0 || a.ndim - 2 > s->batch_rank || b.ndim - 2 > s->batch_rank) return false;
  for (int i = 0; i < s->batch_rank; ++i) s->batch[i] = y.shape[i];
  // A vector A is one row whose elements are k, a vector B one column.
  if (!read_matmul_strides(a, *s, s->rows, 1, trans_a, &s->a) ||
      !read_matmul_strides(b, *s, 1, s->cols, trans_b, &s->b) ||
      !read_matmul_strides(y, *s, s->rows, s->cols, false, &s->y)) {
    return false;
  }
  s->m = s->rows ? a.shape[a.ndim - (trans_a ? 1 : 2)] : 1;
  s->k = a.shape[a.ndim - (trans_a ? 2 : 1)];
  s->n = s->cols ? b.shape[b.ndim - (trans_b ? 2 : 1)] : 1;
  if (b.shape[b.ndim - (s->cols && !trans_b ? 2 : 1)] != s->k) return false;
  return (!s->rows || y.shape[s->batch_rank] == s->m) && (!s->cols || y.shape[s->batch_rank + s->rows] == s->n);
}

// What broadcasts to y and is added to it, aligned with y as it is: an axis may stand for m, n or a batch.
inline bool read_matmul_added(const gk_tensor& added, const gk_tensor& y, MatmulShape* s) {
  if (added.ndim > y.ndim || !is_compact(added)) return false;
  for (int i = 0; i < y.ndim; ++i) {
    const int axis = i - (y.ndim - added.ndim);
    const int64_t dim = axis < 0 ? 1 : added.shape[axis];
    if (dim != 1 && dim != y.shape[i]) return false;
    const int64_t stride = dim == 1 ? 0 : stride_of(added, axis);
    if (i < s->batch_rank) {
      s->added.batch[i] = stride;
    } else if (s->rows && i == s->batch_rank) {
      s->added.row = stride;
    } else {
      s->added.col = stride;
    }
  }
  return true;
}

inline void drop_matmul_batch(MatmulShape* s, int axis) {
  for (int i = axis; i + 1 < s->batch_rank; ++i) {
    s->batch[i] = s->batch[i + 1];
    s->a.batch[i] = s->a.batch[i + 1];
    s->b.batch[i] = s->b.batch[i + 1];
    s->added.batch[i] = s->added.batch[i + 1];
    s->y.batch[i] = s->y.batch[i + 1];
  }
  --s->batch_rank;
}

inline bool batch_lies_like_rows(const MatmulStrides& strides, int axis, int64_t rows) {
  return strides.batch[axis] == rows * strides.row;
}

// Batches become rows as long as they share B and lie like further rows. Then counts what is left of them.
inline void fold_matmul_batches(MatmulShape* s) {
  for (int i = s->batch_rank - 1; i >= 0; --i) {
    if (s->batch[i] == 1) drop_matmul_batch(s, i);
  }
  while (s->batch_rank > 0) {
    const int last = s->batch_rank - 1;
    if (s->b.batch[last] != 0) break;
    if (s->m == 1) {
      s->a.row = s->a.batch[last];
      s->added.row = s->added.batch[last];
      s->y.row = s->y.batch[last];
    } else if (!batch_lies_like_rows(s->a, last, s->m) || !batch_lies_like_rows(s->added, last, s->m) ||
               !batch_lies_like_rows(s->y, last, s->m)) {
      break;
    }
    s->m *= s->batch[last];
    --s->batch_rank;
  }
  s->batches = s->packed_count = 1;
  for (int i = s->batch_rank - 1; i >= 0; --i) {
    s->batches *= s->batch[i];
    s->packed_batch[i] = s->b.batch[i] == 0 ? 0 : s->packed_count;
    if (s->b.batch[i] != 0) s->packed_count *= s->batch[i];
  }
}

inline MatmulOffsets matmul_offsets(const MatmulShape& s, int64_t batch) {
  MatmulOffsets offsets = {};
  for (int i = s.batch_rank - 1; i >= 0; --i) {
    const int64_t index = batch % s.batch[i];
    batch /= s.batch[i];
    offsets.a += index * s.a.batch[i];
    offsets.b += index * s.b.batch[i];
    offsets.added += index * s.added.batch[i];
    offsets.y += index * s.y.batch[i];
    offsets.packed += index * s.packed_batch[i];
  }
  return offsets;
}

// Where the matrix of B that is packed as number `index` starts.
inline int64_t packed_matrix_offset(const MatmulShape& s, int64_t index) {
  int64_t offset = 0;
  for (int i = s.batch_rank - 1; i >= 0; --i) {
    if (s.b.batch[i] == 0) continue;
    offset += index % s.batch[i] * s.b.batch[i];
    index /= s.batch[i];
  }
  return offset;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
