// range: y[i] = start + i·delta.
//
// inputs   start, limit, delta: one element each, float32, float64, int16, int32 or int64
// outputs  y: their dtype, one dim of ceil((limit - start) / delta) elements, row-major and compact
// bytes moved: size of y written. Floats are computed in float64, integers wrap around.
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int range(const gk_call*);

namespace {

struct Nothing {};

int prepare(const gk_call* call, Nothing*, gk_prepared*) {
  if (!has_arity(call, 3, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor& y = call->outputs[0];
  if (!is_movable_block(y) || y.ndim != 1) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < 3; ++i) {
    const gk_tensor& x = call->inputs[i];
    if (!is_movable_block(x) || !same_dtype(x, y) || element_count(x) != 1) return GK_INVALID_ARGUMENT;
  }
  const bool known = is_f32(y) || is_dtype(y, GK_FLOAT, 64) || is_dtype(y, GK_INT, 16) || is_dtype(y, GK_INT, 32) ||
                     is_dtype(y, GK_INT, 64);
  return known ? GK_OK : GK_UNSUPPORTED;
}

template <class T, class Wide>
void write_range(const gk_call* call) {
  const Wide start = static_cast<Wide>(*data_of<T>(call->inputs[0]));
  const Wide delta = static_cast<Wide>(*data_of<T>(call->inputs[2]));
  T* y = data_of<T>(call->outputs[0]);
  const int64_t count = call->outputs[0].shape[0];
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<T>(start + static_cast<Wide>(i) * delta);
}

int run(const gk_call* call, const Nothing*) {
  const gk_tensor& y = call->outputs[0];
  if (is_f32(y)) {
    write_range<float, double>(call);
  } else if (y.dtype.code == GK_FLOAT) {
    write_range<double, double>(call);
  } else if (y.dtype.bits == 16) {
    write_range<int16_t, uint64_t>(call);
  } else if (y.dtype.bits == 32) {
    write_range<int32_t, uint64_t>(call);
  } else {
    write_range<int64_t, uint64_t>(call);
  }
  return GK_OK;
}

}  // namespace

int range(const gk_call* call) { return run_phase<Nothing, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
