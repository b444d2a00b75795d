// The shape rules of matrix products: numpy's for vectors, matrices and batches; trans_a and trans_b as in Gemm.
#pragma once

#include "executor/op.h"

namespace graphopt {

inline bool matmul_shapes(ShapeCall& call, gk_dtype dtype) {
  if (call.outputs.size() != 1 || !call.has(0) || !call.has(1)) return call.fail("takes two matrices");
  const TensorType &a = call.inputs[0].type, &b = call.inputs[1].type;
  if (a.dims.rank < 1 || b.dims.rank < 1) return call.fail("a factor is a scalar");
  const int rows = a.dims.rank > 1, cols = b.dims.rank > 1;
  const bool trans_a = rows != 0 && call.attributes.integer("trans_a", 0) != 0;
  const bool trans_b = cols != 0 && call.attributes.integer("trans_b", 0) != 0;
  const int64_t k_of_a = a.dims[a.dims.rank - (trans_a ? 2 : 1)];
  const int64_t k_of_b = b.dims[b.dims.rank - (cols != 0 && !trans_b ? 2 : 1)];
  if (k_of_a != k_of_b) return call.fail("depths differ: " + text_of(a.dims) + " and " + text_of(b.dims));
  Dims batch_a = a.dims, batch_b = b.dims;
  batch_a.rank -= 1 + rows;
  batch_b.rank -= 1 + cols;
  Dims& y = call.outputs[0].dims;
  if (!broadcast({&batch_a, &batch_b}, &y)) {
    return call.fail("batches do not broadcast: " + text_of(a.dims) + " and " + text_of(b.dims));
  }
  if (rows != 0) y[y.rank++] = a.dims[a.dims.rank - (trans_a ? 1 : 2)];
  if (cols != 0) y[y.rank++] = b.dims[b.dims.rank - (trans_b ? 2 : 1)];
  call.outputs[0].dtype = dtype;
  return true;
}

}  // namespace graphopt
