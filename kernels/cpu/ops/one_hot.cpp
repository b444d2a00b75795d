// one_hot: y[a.., d, b..] = values[1] where d is indices[a.., b..], else values[0], with the new dim at `axis`.
//
// inputs   indices: any integer or float dtype, -depth to depth - 1, negative ones count from the end, others match
//          nothing; depth: one element; values: [off, on]; all row-major and compact
// outputs  y: the dtype of values, row-major and compact
// attributes  axis (default -1: the last)
// bytes moved: size of y written, indices read.
#include "cpu/lib/bytes.h"
#include "cpu/lib/move/move.h"

namespace graphopt {
namespace GK_LEVEL {

int one_hot(const gk_call*);

namespace {

struct OneHot {
  int64_t outer, depth, inner;
};

int prepare(const gk_call* call, OneHot* state, gk_prepared*) {
  if (!has_arity(call, 3, 1)) return GK_INVALID_ARGUMENT;
  const gk_tensor &indices = call->inputs[0], &values = call->inputs[2], &y = call->outputs[0];
  if (!is_movable_block(indices) || !is_movable_block(values) || !is_movable_block(y) || !same_dtype(values, y) ||
      values.ndim != 1 || values.shape[0] != 2 || y.ndim != indices.ndim + 1) {
    return GK_INVALID_ARGUMENT;
  }
  const int axis = axis_attribute(call, -1, y.ndim);
  if (axis < 0) return GK_INVALID_ARGUMENT;
  for (int i = 0; i < indices.ndim; ++i) {
    if (y.shape[i < axis ? i : i + 1] != indices.shape[i]) return GK_INVALID_ARGUMENT;
  }
  *state = {dims_product(y, 0, axis), y.shape[axis], dims_product(y, axis + 1, y.ndim)};
  const bool whole = indices.dtype.code == GK_INT || indices.dtype.code == GK_UINT;
  const bool real = indices.dtype.code == GK_FLOAT && (indices.dtype.bits == 32 || indices.dtype.bits == 64);
  return (whole && indices.dtype.bits <= 64) || real ? GK_OK : GK_UNSUPPORTED;
}

// Index `i`, or one that matches nothing.
int64_t index_at(const gk_tensor& indices, int64_t i) {
  constexpr int64_t kNone = INT64_MIN;
  if (indices.dtype.code == GK_FLOAT) {
    const double value = indices.dtype.bits == 32 ? static_cast<double>(data_of<float>(indices)[i])
                                                  : data_of<double>(indices)[i];
    return value > -9e18 && value < 9e18 ? static_cast<int64_t>(value) : kNone;
  }
  if (indices.dtype.code == GK_UINT) {
    switch (indices.dtype.bits) {
      case 8: return data_of<uint8_t>(indices)[i];
      case 16: return data_of<uint16_t>(indices)[i];
      case 32: return data_of<uint32_t>(indices)[i];
      default: {
        const uint64_t value = data_of<uint64_t>(indices)[i];
        return value > static_cast<uint64_t>(INT64_MAX) ? kNone : static_cast<int64_t>(value);
      }
    }
  }
  switch (indices.dtype.bits) {
    case 8: return data_of<int8_t>(indices)[i];
    case 16: return data_of<int16_t>(indices)[i];
    case 32: return data_of<int32_t>(indices)[i];
    default: return data_of<int64_t>(indices)[i];
  }
}

struct Work {
  const gk_call* call;
  const OneHot* state;
};

// Outer indices [begin, end): all off, then the ones that are on.
template <int kBytes>
void write_rows(const Work& work, int64_t begin, int64_t end) {
  const OneHot& s = *work.state;
  const gk_tensor& indices = work.call->inputs[0];
  const char* values = bytes_of(work.call->inputs[2]);
  char* to = bytes_of(work.call->outputs[0]) + begin * s.depth * s.inner * kBytes;
  fill_bytes(to, fill_pattern(values, kBytes), (end - begin) * s.depth * s.inner * kBytes);
  for (int64_t o = begin; o < end; ++o, to += s.depth * s.inner * kBytes) {
    for (int64_t i = 0; i < s.inner; ++i) {
      int64_t index = index_at(indices, o * s.inner + i);
      if (index < -s.depth || index >= s.depth) continue;
      if (index < 0) index += s.depth;
      copy_element<kBytes>(to + (index * s.inner + i) * kBytes, values + kBytes);
    }
  }
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Work& work = *static_cast<const Work*>(context);
  switch (work.call->outputs[0].dtype.bits) {
    case 8: return write_rows<1>(work, begin, end);
    case 16: return write_rows<2>(work, begin, end);
    case 32: return write_rows<4>(work, begin, end);
    case 64: return write_rows<8>(work, begin, end);
    default: return write_rows<16>(work, begin, end);
  }
}

int run(const gk_call* call, const OneHot* state) {
  const gk_tensor& y = call->outputs[0];
  if (element_count(y) == 0) return GK_OK;
  Work work = {call, state};
  return parallel_for(call, state->outer, grain_of(state->depth * state->inner * element_bytes(y)), body, &work);
}

}  // namespace

int one_hot(const gk_call* call) { return run_phase<OneHot, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
