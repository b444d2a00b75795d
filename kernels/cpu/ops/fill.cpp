// fill: every element of y is the one of input 1.
//
// inputs   shape: int64 or int32, the dims of y; value?: one element (default float32 0)
// outputs  y: value's dtype, any strides
// bytes moved: size of y written.
#include "cpu/lib/move/indices.h"
#include "cpu/lib/move/strided_copy.h"

namespace graphopt {
namespace GK_LEVEL {

int fill(const gk_call*);

namespace {

int prepare(const gk_call* call, StridedCopy* state, gk_prepared*) {
  if (call->input_count < 1 || call->input_count > 2 || !has_arity(call, call->input_count, 1)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor& y = call->outputs[0];
  if (!is_index_tensor(call->inputs[0]) || !is_movable(y) || element_count(call->inputs[0]) != y.ndim) {
    return GK_INVALID_ARGUMENT;
  }
  if (has_input(call, 1)) {
    const gk_tensor& value = call->inputs[1];
    if (!is_movable_block(value) || !same_dtype(value, y) || element_count(value) != 1) return GK_INVALID_ARGUMENT;
  } else if (!is_f32(y)) {
    return GK_INVALID_ARGUMENT;
  }
  int64_t from[kMoveRank] = {}, to[kMoveRank];
  for (int i = 0; i < y.ndim; ++i) to[i] = stride_of(y, i);
  *state = describe_copy(y.ndim, y.shape, from, to, element_bytes(y));
  return GK_OK;
}

int run(const gk_call* call, const StridedCopy* state) {
  const gk_tensor& y = call->outputs[0];
  const Indices dims(call->inputs[0]);
  for (int i = 0; i < y.ndim; ++i) {
    if (dims[i] != y.shape[i]) return GK_INVALID_ARGUMENT;
  }
  static const float zero = 0;
  const char* value = has_input(call, 1) ? bytes_of(call->inputs[1]) : reinterpret_cast<const char*>(&zero);
  return run_copy(call, *state, value, bytes_of(y));
}

}  // namespace

int fill(const gk_call* call) { return run_phase<StridedCopy, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
