// Reading a gk_call inside a kernel: checks, attributes, parallel loops. No C++ standard headers:
// see vector.h.
#pragma once

#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

// Counts and pointers are as the kernel expects; the first check of every kernel.
inline bool has_arity(const gk_call* call, int inputs, int outputs) {
  return call != nullptr && call->abi_version == GK_ABI_VERSION && call->struct_size >= sizeof(gk_call) &&
         call->input_count == inputs && call->output_count == outputs &&
         (inputs == 0 || call->inputs != nullptr) && (outputs == 0 || call->outputs != nullptr) &&
         (call->attribute_count == 0 || call->attributes != nullptr);
}

inline bool is_dtype(const gk_tensor& tensor, gk_type_code code, int bits) {
  return tensor.dtype.code == code && tensor.dtype.bits == bits && tensor.dtype.lanes == 1;
}

// Bytes of a row-major, compact CPU tensor with whole-byte elements; -1 for any other tensor, for a
// negative dim and where the product overflows.
inline int64_t compact_bytes(const gk_tensor& tensor) {
  if (tensor.device.device_type != GK_CPU || tensor.ndim < 0 || tensor.dtype.lanes != 1) return -1;
  if (tensor.dtype.bits == 0 || tensor.dtype.bits % 8 != 0) return -1;
  if (tensor.ndim > 0 && tensor.shape == nullptr) return -1;
  int64_t bytes = tensor.dtype.bits / 8, stride = 1;
  bool empty = false, compact = true;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    const int64_t dim = tensor.shape[i];
    if (dim < 0) return -1;
    empty = empty || dim == 0;
    // The stride of a dim of one is never used, so any is compact.
    compact = compact && (tensor.strides == nullptr || dim <= 1 || tensor.strides[i] == stride);
    if (dim > 0 && (__builtin_mul_overflow(bytes, dim, &bytes) || __builtin_mul_overflow(stride, dim, &stride))) {
      return -1;
    }
  }
  if (empty) return 0;
  return compact && tensor.data != nullptr ? bytes : -1;
}

inline char* bytes_of(const gk_tensor& tensor) { return static_cast<char*>(tensor.data) + tensor.byte_offset; }

inline bool same_text(const char* a, const char* b) {
  for (; *a != '\0' && *a == *b; ++a, ++b) {
  }
  return *a == *b;
}

// The attribute `name` if it is of that kind, else null.
inline const gk_attribute* find_attribute(const gk_call* call, const char* name, gk_attribute_kind kind) {
  for (int i = 0; i < call->attribute_count; ++i) {
    const gk_attribute& attribute = call->attributes[i];
    if (attribute.kind == kind && attribute.name != nullptr && same_text(attribute.name, name)) return &attribute;
  }
  return nullptr;
}

// The attribute `name`, or `otherwise` where the call has none of that kind.
inline int64_t int_attribute(const gk_call* call, const char* name, int64_t otherwise) {
  const gk_attribute* found = find_attribute(call, name, GK_ATTRIBUTE_INT);
  return found == nullptr ? otherwise : found->value.i;
}

inline double float_attribute(const gk_call* call, const char* name, double otherwise) {
  const gk_attribute* found = find_attribute(call, name, GK_ATTRIBUTE_FLOAT);
  return found == nullptr ? otherwise : found->value.f;
}

inline const char* string_attribute(const gk_call* call, const char* name, const char* otherwise) {
  const gk_attribute* found = find_attribute(call, name, GK_ATTRIBUTE_STRING);
  return found == nullptr ? otherwise : found->value.s;
}

// An array attribute; no numbers where the call has none.
struct Ints {
  const int64_t* data = nullptr;
  int length = 0;
};

struct Floats {
  const double* data = nullptr;
  int length = 0;
};

inline Ints ints_attribute(const gk_call* call, const char* name) {
  const gk_attribute* found = find_attribute(call, name, GK_ATTRIBUTE_INTS);
  return found == nullptr ? Ints{} : Ints{found->value.ints, found->length};
}

inline Floats floats_attribute(const gk_call* call, const char* name) {
  const gk_attribute* found = find_attribute(call, name, GK_ATTRIBUTE_FLOATS);
  return found == nullptr ? Floats{} : Floats{found->value.floats, found->length};
}

// ---- tensors of a call ----

// Whether the caller gave input `index`; inputs left out at the end need not be counted.
inline bool has_input(const gk_call* call, int index) {
  return index < call->input_count && call->inputs[index].ndim >= 0;
}

inline bool is_constant(const gk_call* call, int index) {
  return has_input(call, index) && (call->constant_inputs >> index & 1) != 0 && call->inputs[index].data != nullptr;
}

inline bool is_f32(const gk_tensor& tensor) { return is_dtype(tensor, GK_FLOAT, 32); }

inline int64_t element_count(const gk_tensor& tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
  return count;
}

// Distance of two neighbours along an axis, in elements, also where the tensor has no strides.
inline int64_t stride_of(const gk_tensor& tensor, int axis) {
  if (tensor.strides != nullptr) return tensor.strides[axis];
  int64_t stride = 1;
  for (int i = tensor.ndim - 1; i > axis; --i) stride *= tensor.shape[i];
  return stride;
}

// Row-major without gaps; strides of dims of one do not count. Says nothing about the data.
inline bool is_compact(const gk_tensor& tensor) {
  if (tensor.strides == nullptr) return true;
  int64_t stride = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    if (tensor.shape[i] > 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.shape[i];
  }
  return true;
}

template <class T>
inline T* data_of(const gk_tensor& tensor) {
  return reinterpret_cast<T*>(static_cast<char*>(tensor.data) + tensor.byte_offset);
}

// ---- phases ----

// The body of a kernel: `prepare` checks the call and fills the state and the sizes in *prepared, `pack`
// writes call->packed, `run` computes. A kernel whose constants are not packed has no `pack`. A run that
// was not prepared is prepared here: then nothing is packed, and call->workspace must hold what it needs.
template <class State, int (*prepare)(const gk_call*, State*, gk_prepared*), int (*run)(const gk_call*, const State*),
          int (*pack)(const gk_call*, const State*) = nullptr>
inline int run_phase(const gk_call* call) {
  static_assert(sizeof(State) <= GK_STATE_BYTES, "the state does not fit into gk_prepared");
  if (call == nullptr || call->abi_version != GK_ABI_VERSION || call->struct_size < sizeof(gk_call)) {
    return GK_INVALID_ARGUMENT;
  }
  if (call->phase == GK_PREPARE) {
    if (call->prepared == nullptr) return GK_INVALID_ARGUMENT;
    call->prepared->workspace_bytes = call->prepared->packed_bytes = call->prepared->packed_format = 0;
    State* state = reinterpret_cast<State*>(call->prepared->state);
    *state = State{};
    return prepare(call, state, call->prepared);
  }
  if (call->phase == GK_PACK) {
    if (pack == nullptr || call->prepared == nullptr || call->packed == nullptr) return GK_INVALID_ARGUMENT;
    if constexpr (pack != nullptr) return pack(call, reinterpret_cast<const State*>(call->prepared->state));
  }
  if (call->phase != GK_RUN) return GK_INVALID_ARGUMENT;
  if (call->prepared != nullptr) return run(call, reinterpret_cast<const State*>(call->prepared->state));
  gk_call alone = *call;
  gk_prepared prepared;
  prepared.workspace_bytes = prepared.packed_bytes = prepared.packed_format = 0;
  alone.constant_inputs = 0;
  alone.packed = nullptr;
  State state{};
  const int status = prepare(&alone, &state, &prepared);
  if (status != GK_OK) return status;
  if (alone.workspace.size < prepared.workspace_bytes) return GK_WORKSPACE_TOO_SMALL;
  return run(&alone, &state);
}

// The answer of a kernel without state and workspace to every phase but GK_RUN.
inline int needs_no_workspace(const gk_call* call) {
  if (call->phase != GK_PREPARE || call->prepared == nullptr) return GK_INVALID_ARGUMENT;
  call->prepared->workspace_bytes = call->prepared->packed_bytes = call->prepared->packed_format = 0;
  return GK_OK;
}

inline int worker_count(const gk_call* call) {
  return call->parallel == nullptr || call->parallel->workers < 1 ? 1 : call->parallel->workers;
}

// Arithmetic (multiplications plus additions) and bytes that take about five microseconds on one core: less
// is not worth handing to another thread.
constexpr int64_t kGrainFlops = 500'000, kGrainBytes = 64 * 1024;

// [0, count) on the caller's threads, in chunks of at least `grain`; inline where that is one chunk.
inline int parallel_for(const gk_call* call, int64_t count, int64_t grain, gk_body body, void* context) {
  if (count <= 0) return GK_OK;
  if (worker_count(call) == 1 || count <= grain) {
    body(context, 0, count, 0);
    return GK_OK;
  }
  return call->parallel->run(call->parallel->pool, count, grain, body, context) == 0 ? GK_OK : GK_CANCELLED;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
