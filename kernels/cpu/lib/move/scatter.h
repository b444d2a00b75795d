// What scatter_elements and scatter_nd share: inputs x, indices, updates, and an output that is x where no index points.
#pragma once

#include "cpu/lib/move/indices.h"
#include "cpu/lib/move/scatter_apply.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

// By the call's dtype and reduction; null where there is no such one.
inline ScatterApply scatter_apply_of(const gk_call* call) {
  return scatter_apply(call->inputs[0].dtype, string_attribute(call, "reduction", "none"));
}

// The first checks of every scatter.
inline int check_scatter(const gk_call* call) {
  if (!has_arity(call, 3, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &updates = call->inputs[2], &y = call->outputs[0];
  if (!is_movable_block(x) || !is_index_tensor(call->inputs[1]) || !is_movable_block(updates) ||
      !is_movable_block(y) || !same_dtype(x, y) || !same_dims(x, y) || !same_dtype(x, updates)) {
    return GK_INVALID_ARGUMENT;
  }
  return scatter_apply_of(call) == nullptr ? GK_UNSUPPORTED : GK_OK;
}

// The tensors of a run; `where` says which element an index means.
template <class Where>
struct ScatterWork {
  const Where* where;
  Indices indices;
  ScatterApply apply;
  const char* updates;
  char* to;
  int64_t element;

  ScatterWork(const gk_call* call, const Where* of_what)
      : where(of_what), indices(call->inputs[1]), apply(scatter_apply_of(call)), updates(bytes_of(call->inputs[2])),
        to(bytes_of(call->outputs[0])), element(element_bytes(call->inputs[0])) {}
};

// y = x.
inline int begin_scatter(const gk_call* call) {
  const gk_tensor& x = call->inputs[0];
  char *from = bytes_of(x), *to = bytes_of(call->outputs[0]);
  return from == to ? GK_OK : copy_block(call, from, to, element_count(x) * element_bytes(x));
}

}  // namespace GK_LEVEL
}  // namespace graphopt
