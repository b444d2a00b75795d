// eye_like: y[i, j] = 1 where j - i is k, else 0.
//
// inputs   x: any dtype and strides, two dims; its data is not read
// outputs  y: any numeric dtype or bool, x's dims, row-major and compact
// attributes  k (default 0)
// bytes moved: size of y written.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int eye_like(const gk_call*);

namespace {

struct Eye {
  int64_t diagonal;
  uint64_t one; // by its bits, little endian
};

int prepare(const gk_call* call, Eye* state, gk_prepared*) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (x.ndim != 2 || x.shape == nullptr || !is_movable_block(y) || !same_dims(x, y)) return GK_INVALID_ARGUMENT;
  state->diagonal = int_attribute(call, "k", 0);
  const int bits = y.dtype.bits;
  if (bits > 64) return GK_UNSUPPORTED;
  switch (y.dtype.code) {
    case GK_FLOAT:
      if (bits == 8) return GK_UNSUPPORTED;
      state->one = bits == 16 ? 0x3c00 : bits == 32 ? 0x3f800000 : 0x3ff0000000000000;
      return GK_OK;
    case GK_BFLOAT:
      state->one = 0x3f80;
      return bits == 16 ? GK_OK : GK_UNSUPPORTED;
    case GK_INT:
    case GK_UINT:
    case GK_BOOL: state->one = 1; return GK_OK;
    default: return GK_UNSUPPORTED;
  }
}

int run(const gk_call* call, const Eye* state) {
  const gk_tensor& y = call->outputs[0];
  const int64_t rows = y.shape[0], columns = y.shape[1], element = element_bytes(y);
  if (rows == 0 || columns == 0) return GK_OK;
  fill_bytes(bytes_of(y), FillPattern{}, rows * columns * element);
  if (state->diagonal <= -rows || state->diagonal >= columns) return GK_OK;
  const char* one = reinterpret_cast<const char*>(&state->one);
  for (int64_t i = state->diagonal < 0 ? -state->diagonal : 0; i < rows && i + state->diagonal < columns; ++i) {
    copy_bytes(bytes_of(y) + (i * columns + i + state->diagonal) * element, one, element);
  }
  return GK_OK;
}

}  // namespace

int eye_like(const gk_call* call) { return run_phase<Eye, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
