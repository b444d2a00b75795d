// size: y = the number of elements of x.
//
// inputs   x: any dtype and strides; its data is not read
// outputs  y: int64, one element
// bytes moved: 8 written.
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int size(const gk_call*);

namespace {

struct Count {
  int64_t elements;
};

int prepare(const gk_call* call, Count* count, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (x.ndim < 0 || (x.ndim > 0 && x.shape == nullptr)) return GK_INVALID_ARGUMENT;
  if (!is_movable_block(y) || !is_dtype(y, GK_INT, 64) || y.ndim != 0) return GK_INVALID_ARGUMENT;
  count->elements = 1;
  bool empty = false, fits = true;
  for (int i = 0; i < x.ndim; ++i) {
    empty = empty || x.shape[i] == 0;
    fits = fits && x.shape[i] >= 0 && !__builtin_mul_overflow(count->elements, x.shape[i], &count->elements);
  }
  if (empty) count->elements = 0;
  return fits || empty ? GK_OK : GK_INVALID_ARGUMENT;
}

int run(const gk_call* call, const Count* count) {
  *data_of<int64_t>(call->outputs[0]) = count->elements;
  return GK_OK;
}

}  // namespace

int size(const gk_call* call) { return run_phase<Count, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
