#include "executor/schedule.h"

#include "executor/failure.h"

namespace graphopt {
namespace {

constexpr int64_t kMostOfARow = int64_t{1} << 30; // elements from row to row that kernels count with

// Axes before the last as one: rows of contiguous elements, at one distance.
bool is_rows(const Dims& dims, const Dims& strides) {
  if (dims.rank == 0) return true;
  const int64_t width = dims[dims.rank - 1];
  if (width > 1 && strides[dims.rank - 1] != 1) return false;
  int64_t step = 0, rows = 1;
  for (int i = dims.rank - 2; i >= 0; --i) {
    if (dims[i] == 1) continue;
    if (step == 0) step = strides[i];
    if (step < width || step >= kMostOfARow || strides[i] != step * rows) return false;
    rows *= dims[i];
  }
  return true;
}

bool accepts(const Step& step, uint32_t any, uint32_t rows, size_t index, const Ref& ref) {
  if (ref.compact) return true;
  if (index >= 32) return false;
  if ((any >> index & 1) != 0) return true;
  if ((rows >> index & 1) == 0 || !is_rows(ref.type.dims, ref.strides)) return false;
  const AttributeView attributes(step.attributes.data(), static_cast<int>(step.attributes.size()));
  return step.def->rows_if == nullptr || attributes.integer(step.def->rows_if, 0) != 0;
}

}  // namespace

bool takes(const Step& step, size_t input, const Ref& ref) {
  return accepts(step, step.def->strided_inputs, step.def->row_strided_inputs, input, ref);
}

bool gives(const Step& step, size_t output, const Ref& ref) {
  return accepts(step, step.def->strided_outputs, step.def->row_strided_outputs, output, ref);
}

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

void fail_to_run(const ScheduledCall& call, int status) {
  // Everything else was checked while it was prepared.
  const bool contents = status == GK_INVALID_ARGUMENT;
  const char* why = contents ? "an index or a length in its inputs is out of range" : gk_status_text(status);
  throw Failure(status, name_of(call) + ": " + why);
}

}  // namespace graphopt
