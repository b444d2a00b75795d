// Index tuples in the last dim of a tensor: what gather_nd and scatter_nd look slices up with.
#pragma once

#include "cpu/lib/move/indices.h"

namespace graphopt {
namespace GK_LEVEL {

struct Tuples {
  int64_t batches, per_batch;  // tuples: batches · per_batch
  int32_t depth;               // indices in a tuple
  int64_t dims[kMoveRank], strides[kMoveRank]; // of the indexed dims; strides in slices
  int64_t batch_stride;        // slices
  int64_t slice;               // elements

  // The slice of the data that tuple `t` names; every index is in range.
  int64_t at(const Indices& indices, int64_t t) const {
    int64_t at = batches == 1 ? 0 : t / per_batch * batch_stride;
    for (int i = 0; i < depth; ++i) at += indices.at(t * depth + i, dims[i]) * strides[i];
    return at;
  }

  bool within(const Indices& indices) const {
    bool right = true;
    for (int64_t t = 0; t < batches * per_batch; ++t) {
      for (int i = 0; i < depth; ++i) {
        const int64_t index = indices[t * depth + i];
        right = right && index >= -dims[i] && index < dims[i];
      }
    }
    return right;
  }
};

// The tuples of `indices` into `data` after `batch` dims that both share, and whether `slices` (what is gathered, or
// the updates) has the dims that belong to them.
inline bool describe_tuples(const gk_tensor& data, const gk_tensor& indices, const gk_tensor& slices, int64_t batch,
                            Tuples* tuples) {
  if (data.ndim < 1 || indices.ndim < 1 || batch < 0 || batch >= data.ndim || batch >= indices.ndim) return false;
  const int64_t depth = indices.shape[indices.ndim - 1];
  if (depth < 1 || depth > data.ndim - batch) return false;
  const int first = static_cast<int>(batch), behind = static_cast<int>(batch + depth);
  if (slices.ndim != indices.ndim - 1 + data.ndim - behind) return false;
  for (int i = 0; i < first; ++i) {
    if (data.shape[i] != indices.shape[i]) return false;
  }
  for (int i = 0; i < slices.ndim; ++i) {
    const int beyond = i - (indices.ndim - 1);
    if (slices.shape[i] != (beyond < 0 ? indices.shape[i] : data.shape[behind + beyond])) return false;
  }
  tuples->depth = static_cast<int32_t>(depth);
  tuples->batches = dims_product(indices, 0, first);
  tuples->per_batch = dims_product(indices, first, indices.ndim - 1);
  int64_t stride = 1;
  for (int i = tuples->depth - 1; i >= 0; --i) {
    tuples->dims[i] = data.shape[first + i];
    tuples->strides[i] = stride;
    stride *= data.shape[first + i];
  }
  tuples->batch_stride = stride;
  tuples->slice = dims_product(data, behind, data.ndim);
  return true;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
