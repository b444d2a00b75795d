// stream_copy: y = x, `repeat` times over.
//
// inputs   x: any dtype, row-major and compact
// outputs  y: as many bytes, row-major and compact, not overlapping x
// attributes  repeat: passes over the data, at least 1 (default 1)
// bytes moved: size read + size written, per pass.
#include "cpu/call.h"
#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

int stream_copy(const gk_call*);

namespace {

struct Copy {
  const char* from;
  char* to;
  int64_t repeat;
};

void copy_bytes(char* to, const char* from, int64_t size) {
  constexpr int kUnroll = 8;
  int64_t i = 0;
  for (; i + kUnroll * kVectorBytes <= size; i += kUnroll * kVectorBytes) {
    VecU64 v[kUnroll];
#pragma GCC unroll 8
    for (int u = 0; u < kUnroll; ++u) v[u] = *reinterpret_cast<const VecU64Unaligned*>(from + i + u * kVectorBytes);
#pragma GCC unroll 8
    for (int u = 0; u < kUnroll; ++u) *reinterpret_cast<VecU64Unaligned*>(to + i + u * kVectorBytes) = v[u];
  }
  for (; i < size; ++i) to[i] = from[i];
}

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Copy& copy = *static_cast<const Copy*>(context);
  for (int64_t pass = 0; pass < copy.repeat; ++pass) {
    copy_bytes(copy.to + begin, copy.from + begin, end - begin);
    memory_fence_for_compiler();  // or one pass would do for all
  }
}

}  // namespace

int stream_copy(const gk_call* call) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const int64_t size = compact_bytes(call->inputs[0]);
  if (size < 0 || compact_bytes(call->outputs[0]) != size) return GK_INVALID_ARGUMENT;
  Copy copy = {bytes_of(call->inputs[0]), bytes_of(call->outputs[0]), int_attribute(call, "repeat", 1)};
  if (copy.repeat < 1) return GK_INVALID_ARGUMENT;
  if (call->phase != GK_RUN) return needs_no_workspace(call);
  return parallel_for(call, size, kGrainBytes, body, &copy);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
