// Several tensors walked together in the order of one shape: broadcast dims get stride 0, dims that all of them walk
// through alike are merged.
#pragma once

#include "cpu/call.h"

namespace graphopt {
namespace GK_LEVEL {

constexpr int kMaxDims = 8;

// A shape and strides of `count` tensors over it, in elements: tensor t moves by strides[t * rank + d] along dim d.
struct Walk {
  int rank, count;
  int64_t dims[kMaxDims];
};

// Appends a tensor's strides over the shape `dims` of `rank`, 0 where it broadcasts. False where it does not.
inline bool broadcast_strides(const gk_tensor& tensor, const int64_t* dims, int rank, int64_t* strides) {
  if (tensor.ndim < 0 || tensor.ndim > rank || (tensor.ndim > 0 && tensor.shape == nullptr)) return false;
  const int shift = rank - tensor.ndim;
  for (int d = 0; d < shift; ++d) strides[d] = 0;
  int64_t compact = 1;
  for (int d = tensor.ndim - 1; d >= 0; --d) {
    const int64_t dim = tensor.shape[d];
    if (dim != dims[d + shift] && dim != 1) return false;
    strides[d + shift] = dim == 1 ? 0 : tensor.strides != nullptr ? tensor.strides[d] : compact;
    compact *= dim;
  }
  return true;
}

// Drops dims of one and merges neighbours, where `kind` (null: all alike) says the same of both. Afterwards rank is
// at least 1. Tensors lie `rank` strides apart, before and after.
inline void collapse(Walk* walk, int64_t* strides, uint8_t* kind) {
  const int rank = walk->rank;
  int64_t out[kMaxDims];  // dims kept
  int source[kMaxDims];   // the innermost dim each of them stands for
  int kept = 0;
  for (int d = 0; d < rank; ++d) {
    if (walk->dims[d] == 1) continue;
    bool merge = kept > 0 && (kind == nullptr || kind[source[kept - 1]] == kind[d]);
    for (int t = 0; merge && t < walk->count; ++t) {
      const int64_t* s = strides + t * rank;
      merge = s[source[kept - 1]] == s[d] * walk->dims[d];
    }
    if (merge) {
      out[kept - 1] *= walk->dims[d];
      source[kept - 1] = d;
    } else {
      out[kept] = walk->dims[d];
      source[kept++] = d;
    }
  }
  const int new_rank = kept == 0 ? 1 : kept;
  for (int t = 0; t < walk->count; ++t) {
    int64_t row[kMaxDims] = {0};
    for (int d = 0; d < kept; ++d) row[d] = strides[t * rank + source[d]];
    for (int d = 0; d < new_rank; ++d) strides[t * new_rank + d] = row[d];
  }
  if (kept == 0) out[0] = 1;
  for (int d = 0; d < new_rank; ++d) walk->dims[d] = out[d];
  if (kind != nullptr) {
    for (int d = 0; d < kept; ++d) kind[d] = kind[source[d]];
    if (kept == 0) kind[0] = 0;
  }
  walk->rank = new_rank;
}

// Position `index` of the dims before the last: counts like an odometer, knows the offset of each tensor by asking.
struct Odometer {
  int64_t at[kMaxDims];

  void set(const Walk& walk, int64_t index) {
    for (int d = walk.rank - 2; d >= 0; --d) {
      at[d] = index % walk.dims[d];
      index /= walk.dims[d];
    }
  }
  void next(const Walk& walk) {
    for (int d = walk.rank - 2; d >= 0; --d) {
      if (++at[d] < walk.dims[d]) return;
      at[d] = 0;
    }
  }
  int64_t offset(const Walk& walk, const int64_t* strides) const {
    int64_t sum = 0;
    for (int d = 0; d < walk.rank - 1; ++d) sum += at[d] * strides[d];
    return sum;
  }
};

}  // namespace GK_LEVEL
}  // namespace graphopt
