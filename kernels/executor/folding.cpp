#include "executor/folding.h"

#include <cstring>

#include "executor/failure.h"

namespace graphopt {

void run_once(const ScheduledCall& step, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
              const gk_allocator* allocator) {
  std::vector<gk_tensor> in, out;
  for (size_t i = 0; i < step.inputs.size(); ++i) in.push_back(tensor_of(step.inputs[i], inputs[i]));
  for (size_t i = 0; i < step.outputs.size(); ++i) out.push_back(tensor_of(step.outputs[i], outputs[i]));
  const auto prepared = std::make_unique<gk_prepared>();
  gk_call call = call_of(step, in.data(), out.data());
  call.prepared = prepared.get();
  call.phase = GK_PREPARE;
  int status = step.kernel(&call);
  if (status != GK_OK) throw Failure(status, name_of(step) + ": " + gk_status_text(status));
  const Block workspace(prepared->workspace_bytes, allocator);
  call.workspace = {workspace.data(), prepared->workspace_bytes};
  call.phase = GK_RUN;
  status = step.kernel(&call);
  if (status != GK_OK) fail_to_run(step, status);
}

void copy_strided(const char* from, const Dims& dims, const Dims& strides, int64_t element, char* to) {
  const int64_t count = element_count(dims);
  int64_t index[kMaxRank] = {}, at = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * element, from + at * element, static_cast<size_t>(element));
    for (int axis = dims.rank - 1; axis >= 0; --axis) {
      at += strides[axis];
      if (++index[axis] < dims[axis]) break;
      at -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace graphopt
