// The C ABI of plans: checks what comes in, turns exceptions into a status and a message.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "executor/failure.h"
#include "executor/feeds.h"
#include "executor/folding.h"
#include "executor/plan.h"

struct gk_plan {
  graphopt::Plan plan;
};

namespace graphopt {
namespace {

static_assert(GK_MAX_RANK == kMaxRank);

void tell(gk_message* message, const char* text) {
  if (message != nullptr) std::snprintf(message->text, sizeof message->text, "%s", text);
}

template <class Body>
int guarded(gk_message* message, Body body) {
  tell(message, "");
  try {
    body();
    return GK_OK;
  } catch (const Failure& failure) {
    tell(message, failure.what());
    return failure.status;
  } catch (const std::bad_alloc&) {
    tell(message, "the operating system refused memory");
  } catch (const std::exception& error) {
    tell(message, error.what());
  }
  return GK_SYSTEM_ERROR;
}

int64_t bytes_of(const gk_tensor& tensor) {
  int64_t bytes = tensor.dtype.bits / 8;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] == 0) return 0;
  }
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0 || __builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) return -1;
  }
  return bytes;
}

Dims dims_of(const int64_t* numbers, int rank) {
  Dims dims;
  dims.rank = rank;
  std::copy_n(numbers, rank, dims.at);
  return dims;
}

void check_tensor(const std::string& what, const gk_tensor& tensor, bool needs_data) {
  if (tensor.device.device_type != GK_CPU) refuse(what + " is not in the CPU's memory");
  if (tensor.ndim < 0 || tensor.ndim > kMaxRank) {
    refuse(what + " has " + std::to_string(tensor.ndim) + " dims; at most " + std::to_string(kMaxRank) +
           " are possible");
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) refuse(what + " has no shape");
  const int64_t bytes = bytes_of(tensor);
  if (bytes < 0) refuse(what + " of shape " + text_of(dims_of(tensor.shape, tensor.ndim)) + " is too large");
  if (needs_data && tensor.data == nullptr && bytes > 0) refuse(what + " has no data");
}

void check_inputs(const Plan& plan, const gk_tensor* inputs, bool need_data) {
  if (inputs == nullptr && plan.input_count() > 0) refuse("there are no inputs");
  for (size_t i = 0; i < plan.input_count(); ++i) {
    const bool decides = plan.input(i).kind == ValueKind::kShapeInput;
    check_tensor("input " + quoted(plan.input(i).name), inputs[i], need_data || decides);
  }
}

const char* start_of(const gk_tensor& tensor) { return static_cast<const char*>(tensor.data) + tensor.byte_offset; }

// Inputs with gaps or on odd addresses, copied: kernels read what is compact and aligned for its dtype.
class CompactInputs {
 public:
  CompactInputs(const gk_tensor* inputs, size_t count) : tensors_(inputs, inputs + count) {
    for (gk_tensor& tensor : tensors_) {
      const Dims dims = dims_of(tensor.shape, tensor.ndim);
      const Dims strides = tensor.strides == nullptr ? compact_strides(dims) : dims_of(tensor.strides, tensor.ndim);
      const int64_t element = std::max(tensor.dtype.bits / 8, 1);
      const char* start = start_of(tensor);
      const bool aligned = reinterpret_cast<uintptr_t>(start) % static_cast<uintptr_t>(element) == 0;
      tensor.strides = nullptr;
      tensor.byte_offset = 0;
      tensor.data = const_cast<char*>(start);
      if ((aligned && is_compact(dims, strides)) || tensor.data == nullptr) continue;
      const Block& copy = copies_.emplace_back(static_cast<size_t>(bytes_of(tensor)));
      copy_strided(start, dims, strides, element, copy.data());
      tensor.data = copy.data();
    }
  }

  const gk_tensor* data() const { return tensors_.data(); }

 private:
  std::vector<gk_tensor> tensors_;
  std::vector<Block> copies_;
};

// An output that the plan allocates: its shape, then its data.
struct OutputBlock {
  int64_t shape[kMaxRank];
};
constexpr size_t kOutputHeader = (sizeof(OutputBlock) + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT;

void allocate(const TensorType& type, gk_tensor* tensor) {
  const size_t bytes = static_cast<size_t>(element_count(type.dims) * element_bytes(type.dtype));
  const size_t rounded = (kOutputHeader + bytes + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT;
  auto* block = static_cast<OutputBlock*>(std::aligned_alloc(GK_ALIGNMENT, rounded));
  if (block == nullptr) throw std::bad_alloc();
  std::copy_n(type.dims.at, type.dims.rank, block->shape);
  *tensor = {reinterpret_cast<char*>(block) + kOutputHeader, {GK_CPU, 0}, type.dims.rank, type.dtype, block->shape,
             nullptr, 0};
}

void check_output(const Plan& plan, size_t i, const TensorType& type, const gk_tensor& tensor) {
  const std::string what = "output " + quoted(plan.output(i).name);
  check_tensor(what, tensor, true);
  const Dims dims = dims_of(tensor.shape, tensor.ndim);
  if (tensor.dtype.code != type.dtype.code || tensor.dtype.bits != type.dtype.bits || tensor.dtype.lanes != 1 ||
      dims.rank != type.dims.rank || !std::equal(dims.at, dims.at + dims.rank, type.dims.at)) {
    refuse(what + " is " + dtype_name(type.dtype) + text_of(type.dims) + ", but there is memory for " +
           dtype_name(tensor.dtype) + text_of(dims));
  }
  if (tensor.strides != nullptr && !is_compact(dims, dims_of(tensor.strides, tensor.ndim))) {
    refuse(what + " has memory with gaps");
  }
  if (reinterpret_cast<uintptr_t>(start_of(tensor)) % static_cast<uintptr_t>(element_bytes(type.dtype)) != 0) {
    refuse(what + " has memory at an odd address");
  }
}

// Outputs of one run: the caller's memory, or memory given back should the run fail.
class Outputs {
 public:
  explicit Outputs(gk_tensor* tensors) : tensors_(tensors) {}
  ~Outputs() {
    for (const size_t i : allocated_) gk_plan_release_output(&tensors_[i]);
  }

  void add(const Plan& plan, size_t i, const TensorType& type) {
    if (tensors_[i].data == nullptr) {
      allocated_.reserve(allocated_.size() + 1);
      plan.check_limit(static_cast<uint64_t>(element_count(type.dims) * element_bytes(type.dtype)));
      allocate(type, &tensors_[i]);
      allocated_.push_back(i);
      return;
    }
    check_output(plan, i, type, tensors_[i]);
  }
  void keep() { allocated_.clear(); }

 private:
  gk_tensor* tensors_;
  std::vector<size_t> allocated_;
};

void check_overlap(const Plan& plan, const gk_tensor* inputs, const gk_tensor* outputs) {
  const auto overlap = [](const gk_tensor& a, const gk_tensor& b) {
    return start_of(a) < start_of(b) + bytes_of(b) && start_of(b) < start_of(a) + bytes_of(a);
  };
  for (size_t i = 0; i < plan.output_count(); ++i) {
    const std::string_view name = plan.output(i).name;
    for (size_t j = 0; j < plan.input_count(); ++j) {
      if (overlap(outputs[i], inputs[j])) {
        refuse("output " + quoted(name) + " overlaps input " + quoted(plan.input(j).name));
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (overlap(outputs[i], outputs[j])) {
        refuse("output " + quoted(name) + " overlaps output " + quoted(plan.output(j).name));
      }
    }
  }
}

void run(Plan& plan, const gk_tensor* given, gk_tensor* outputs, gk_run_options* options) {
  check_inputs(plan, given, true);
  if (outputs == nullptr && plan.output_count() > 0) refuse("there is no place for outputs");
  const CompactInputs inputs(given, plan.input_count());
  const auto schedule = plan.schedule_for(inputs.data());
  Outputs places(outputs);
  for (size_t i = 0; i < plan.output_count(); ++i) places.add(plan, i, schedule->output_types[i]);
  check_overlap(plan, inputs.data(), outputs);
  RunRequest request;
  for (size_t i = 0; i < plan.input_count(); ++i) request.inputs.push_back(inputs.data()[i].data);
  for (size_t i = 0; i < plan.output_count(); ++i) request.outputs.push_back(const_cast<char*>(start_of(outputs[i])));
  std::vector<StepTime> times;
  if (options != nullptr) {
    request.cancel = options->cancel;
    if (options->times != nullptr) request.times = &times;
  }
  plan.run(schedule, request);
  places.keep();
  if (request.times == nullptr) return;
  options->time_count = static_cast<int32_t>(times.size());
  for (int32_t i = 0; i < std::min(options->time_count, options->time_capacity); ++i) {
    const StepTime& time = times[static_cast<size_t>(i)];
    options->times[i] = {time.name, time.op, time.seconds};
  }
}

int describe(const PlanValue& value, const int64_t* dims, gk_value_info* info) {
  *info = {value.name.c_str(), dims, value.has_rank ? value.dims.rank : -1, value.dtype};
  return GK_OK;
}

}  // namespace
}  // namespace graphopt

using namespace graphopt;

extern "C" {

int gk_plan_open(const void* data, size_t size, const void* weights, size_t weights_size,
                 const gk_plan_options* options, gk_plan** plan, gk_message* message) {
  return guarded(message, [&] {
    if (data == nullptr || plan == nullptr) refuse("there is no plan");
    PlanOptions chosen;
    if (options != nullptr) {
      if (options->struct_size < sizeof(gk_plan_options)) refuse("gk_plan_options.struct_size is too small");
      chosen.isa = options->isa;
      chosen.threads = options->threads == 0 ? 1 : options->threads;
      chosen.release_weights = options->release_weights != 0;
      chosen.memory_limit = options->memory_limit;
    }
    const PlanBytes bytes = {static_cast<const char*>(data), size, static_cast<const char*>(weights), weights_size};
    *plan = new gk_plan{Plan(bytes, chosen)};
  });
}

void gk_plan_close(gk_plan* plan) { delete plan; }

int32_t gk_plan_input_count(const gk_plan* plan) {
  return plan == nullptr ? 0 : static_cast<int32_t>(plan->plan.input_count());
}

int32_t gk_plan_output_count(const gk_plan* plan) {
  return plan == nullptr ? 0 : static_cast<int32_t>(plan->plan.output_count());
}

int gk_plan_input(const gk_plan* plan, int32_t index, gk_value_info* info) {
  if (index < 0 || index >= gk_plan_input_count(plan) || info == nullptr) return GK_INVALID_ARGUMENT;
  const PlanValue& value = plan->plan.input(static_cast<size_t>(index));
  return describe(value, value.dims.at, info);
}

int gk_plan_output(const gk_plan* plan, int32_t index, gk_value_info* info) {
  if (index < 0 || index >= gk_plan_output_count(plan) || info == nullptr) return GK_INVALID_ARGUMENT;
  const PlanValue& value = plan->plan.output(static_cast<size_t>(index));
  *info = {value.name.c_str(), nullptr, -1, value.dtype};
  return GK_OK;
}

const char* gk_plan_symbol(const gk_plan* plan, int64_t dim) {
  if (plan == nullptr || dim > -2) return nullptr;
  const std::vector<std::string>& symbols = plan->plan.data().symbols;
  const auto index = static_cast<uint64_t>(-2 - dim);
  return index < symbols.size() ? symbols[index].c_str() : nullptr;
}

int32_t gk_plan_isa(const gk_plan* plan) { return plan == nullptr ? -1 : plan->plan.data().isa; }

int gk_plan_shapes(gk_plan* plan, const gk_tensor* inputs, gk_tensor* outputs, gk_message* message) {
  return guarded(message, [&] {
    if (plan == nullptr) refuse("there is no plan");
    check_inputs(plan->plan, inputs, false);
    const CompactInputs compact(inputs, plan->plan.input_count());
    const auto schedule = plan->plan.schedule_for(compact.data());
    for (size_t i = 0; i < plan->plan.output_count(); ++i) {
      const TensorType& type = schedule->output_types[i];
      if (outputs == nullptr || outputs[i].shape == nullptr) refuse("there is no place for shapes");
      std::copy_n(type.dims.at, type.dims.rank, outputs[i].shape);
      outputs[i].ndim = type.dims.rank;
      outputs[i].dtype = type.dtype;
    }
  });
}

int gk_plan_run(gk_plan* plan, const gk_tensor* inputs, gk_tensor* outputs, gk_run_options* options,
                gk_message* message) {
  return guarded(message, [&] {
    if (plan == nullptr) refuse("there is no plan");
    if (options != nullptr && options->struct_size < sizeof(gk_run_options)) {
      refuse("gk_run_options.struct_size is too small");
    }
    run(plan->plan, inputs, outputs, options);
  });
}

void gk_plan_release_output(gk_tensor* output) {
  if (output == nullptr || output->data == nullptr) return;
  std::free(static_cast<char*>(output->data) - kOutputHeader);
  output->data = nullptr;
  output->shape = nullptr;
}

int gk_plan_get_memory(const gk_plan* plan, gk_plan_memory* memory) {
  if (plan == nullptr || memory == nullptr) return GK_INVALID_ARGUMENT;
  const Plan::Memory found = plan->plan.memory();
  *memory = {found.arena, found.packed, found.folded, static_cast<int32_t>(found.schedules),
             static_cast<int32_t>(found.lanes)};
  return GK_OK;
}

void gk_plan_park(gk_plan* plan) {
  if (plan != nullptr) plan->plan.park();
}

}  // extern "C"
