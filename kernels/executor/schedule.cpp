#include "executor/schedule.h"

#include "executor/failure.h"

namespace graphopt {

Dims compact_strides(const Dims& dims) {
  Dims strides;
  strides.rank = dims.rank;
  int64_t stride = 1;
  for (int i = dims.rank - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= dims[i] > 1 ? dims[i] : 1;
  }
  return strides;
}

bool is_compact(const Dims& dims, const Dims& strides) {
  int64_t stride = 1;
  for (int i = dims.rank - 1; i >= 0; --i) {
    if (dims[i] == 0) return true;
  }
  for (int i = dims.rank - 1; i >= 0; --i) {
    if (dims[i] > 1 && strides[i] != stride) return false;
    stride *= dims[i];
  }
  return true;
}

bool is_whole(const Ref& ref, const Schedule& schedule) {
  const int64_t bytes = element_count(ref.type.dims) * element_bytes(ref.type.dtype);
  return ref.compact && ref.offset == 0 && bytes == schedule.storages[static_cast<size_t>(ref.storage)].bytes;
}

gk_tensor tensor_of(const Ref& ref, const void* data) {
  if (!ref.present()) return {nullptr, {GK_CPU, 0}, -1, {}, nullptr, nullptr, 0};
  gk_tensor tensor = {const_cast<void*>(data), {GK_CPU, 0}, ref.type.dims.rank, ref.type.dtype, nullptr, nullptr, 0};
  tensor.shape = const_cast<int64_t*>(ref.type.dims.at);
  if (!ref.compact) tensor.strides = const_cast<int64_t*>(ref.strides.at);
  return tensor;
}

gk_call call_of(const ScheduledCall& call, const gk_tensor* inputs, const gk_tensor* outputs) {
  gk_call made = {};
  made.abi_version = GK_ABI_VERSION;
  made.struct_size = sizeof made;
  made.inputs = inputs;
  made.outputs = outputs;
  made.input_count = static_cast<int32_t>(call.inputs.size());
  made.output_count = static_cast<int32_t>(call.outputs.size());
  if (call.step != nullptr) {
    made.attributes = call.step->attributes.data();
    made.attribute_count = static_cast<int32_t>(call.step->attributes.size());
  }
  return made;
}

std::string name_of(const ScheduledCall& call) {
  if (call.step == nullptr) return "a copy";
  return "step " + quoted(call.step->name) + " (" + call.step->op + ")";
}

}  // namespace graphopt
