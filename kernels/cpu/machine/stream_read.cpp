// stream_read: y = x[0] ⊕ x[1] ⊕ … over the 8-byte little-endian words of x.
//
// inputs   x: any dtype, row-major and compact; a last word that is cut short is filled with zeros
// outputs  y: uint64 [1]
// attributes  repeat: passes over the data, at least 1 (default 1)
// workspace   one cache line per worker, for its share of the fold
// bytes moved: size read, per pass.
#include "cpu/call.h"
#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

int stream_read(const gk_call*);

namespace {

constexpr int64_t kWord = 8, kGrainWords = 8 * 1024;
constexpr int64_t kSlotWords = GK_ALIGNMENT / kWord;  // a cache line each: workers do not share one

struct Read {
  const char* data;
  int64_t size;
  int64_t repeat;
  uint64_t* slots;
};

uint64_t word_at(const char* at, int64_t count) {
  uint64_t word = 0;
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(static_cast<unsigned char>(at[i])) << (8 * i);
  return word;
}

uint64_t fold(const char* data, int64_t size) {
  constexpr int kUnroll = 8;
  VecU64 acc[kUnroll] = {};
  int64_t i = 0;
  for (; i + kUnroll * kVectorBytes <= size; i += kUnroll * kVectorBytes) {
#pragma GCC unroll 8
    for (int u = 0; u < kUnroll; ++u) {
      acc[u] ^= *reinterpret_cast<const VecU64Unaligned*>(data + i + u * kVectorBytes);
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < kUnroll; ++u) {
    opaque(acc[u]);
    if (u > 0) acc[0] ^= acc[u];
  }
  uint64_t result = 0;
  for (int l = 0; l < lanes_of(VecU64{}); ++l) result ^= acc[0][l];
  for (; i < size; i += kWord) result ^= word_at(data + i, size - i < kWord ? size - i : kWord);
  return result;
}

void body(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Read& read = *static_cast<const Read*>(context);
  const int64_t first = begin * kWord, last = end * kWord < read.size ? end * kWord : read.size;
  uint64_t result = 0;
  for (int64_t pass = 0; pass < read.repeat; ++pass) {
    result = fold(read.data + first, last - first);
    memory_fence_for_compiler();  // or one pass would do for all
  }
  read.slots[worker * kSlotWords] ^= result;
}

}  // namespace

int stream_read(const gk_call* call) {
  if (!has_arity(call, 1, 1)) return GK_INVALID_ARGUMENT;
  const int64_t size = compact_bytes(call->inputs[0]);
  if (size < 0) return GK_INVALID_ARGUMENT;
  const gk_tensor& y = call->outputs[0];
  if (!is_dtype(y, GK_UINT, 64) || compact_bytes(y) != kWord) return GK_INVALID_ARGUMENT;
  Read read = {bytes_of(call->inputs[0]), size, int_attribute(call, "repeat", 1), nullptr};
  if (read.repeat < 1) return GK_INVALID_ARGUMENT;

  const int workers = worker_count(call);
  const size_t needed = static_cast<size_t>(workers) * GK_ALIGNMENT;
  if (call->phase == GK_PREPARE) {
    if (call->prepared == nullptr) return GK_INVALID_ARGUMENT;
    *call->prepared = {needed, 0, 0, {}};
    return GK_OK;
  }
  if (call->workspace.data == nullptr || call->workspace.size < needed) return GK_WORKSPACE_TOO_SMALL;
  read.slots = static_cast<uint64_t*>(call->workspace.data);
  for (int w = 0; w < workers; ++w) read.slots[w * kSlotWords] = 0;

  const int status = parallel_for(call, (size + kWord - 1) / kWord, kGrainWords, body, &read);
  if (status != GK_OK) return status;
  uint64_t result = 0;
  for (int w = 0; w < workers; ++w) result ^= read.slots[w * kSlotWords];
  *reinterpret_cast<uint64_t*>(bytes_of(y)) = result;
  return GK_OK;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
