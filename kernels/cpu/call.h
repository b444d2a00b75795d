// Reading a gk_call inside a kernel: checks, attributes, parallel loops. No C++ standard headers:
// see vector.h.
#pragma once

#include "graphopt/graphopt.h"

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

// The integer attribute `name`, or `otherwise` where the call has none.
inline int64_t int_attribute(const gk_call* call, const char* name, int64_t otherwise) {
  for (int i = 0; i < call->attribute_count; ++i) {
    const gk_attribute& attribute = call->attributes[i];
    if (attribute.kind == GK_ATTRIBUTE_INT && attribute.name != nullptr && same_text(attribute.name, name)) {
      return attribute.value.i;
    }
  }
  return otherwise;
}

inline int worker_count(const gk_call* call) {
  return call->parallel == nullptr || call->parallel->workers < 1 ? 1 : call->parallel->workers;
}

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
