// The C ABI of plans: turns exceptions into a status and a message, structs of any age into today's and back.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "executor/call_tensors.h"
#include "executor/failure.h"
#include "executor/mapped_file.h"
#include "executor/plan.h"
#include "executor/utf8.h"

struct gk_plan {
  graphopt::MappedFile file, weights; // empty where the caller holds them
  graphopt::Plan plan;
};

namespace graphopt {
namespace {

// As much of the text as there is room for, no character cut in two.
void tell(gk_message* message, std::string_view text) {
  if (message == nullptr) return;
  const size_t size = whole_characters(text, sizeof message->text - 1);
  text.copy(message->text, size);
  message->text[size] = '\0';
}

template <class Body>
int guarded(gk_message* message, Body body) noexcept {
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

// What the caller knows of a struct; the rest is 0.
template <class Struct>
Struct known(const Struct* given, const char* name) {
  Struct all = {};
  if (given == nullptr) return all;
  if (given->struct_size < sizeof given->struct_size) refuse(std::string(name) + ".struct_size is too small");
  std::memcpy(&all, given, std::min<size_t>(given->struct_size, sizeof all));
  return all;
}

// Fills in what the caller knows of a struct.
template <class Struct>
int hand_over(Struct found, Struct* to) {
  if (to == nullptr || to->struct_size < sizeof to->struct_size) return GK_INVALID_ARGUMENT;
  found.struct_size = to->struct_size;
  std::memcpy(to, &found, std::min<size_t>(found.struct_size, sizeof found));
  return GK_OK;
}

PlanOptions chosen(const gk_plan_options* given) {
  const gk_plan_options options = known(given, "gk_plan_options");
  PlanOptions chosen;
  chosen.isa = options.isa;
  chosen.threads = options.threads == 0 ? 1 : options.threads;
  chosen.release_weights = options.release_weights != 0;
  chosen.memory_limit = options.memory_limit;
  if (options.allocator != nullptr) chosen.allocator = *options.allocator;
  return chosen;
}

void run(Plan& plan, const gk_tensor* given, gk_tensor* outputs, gk_run_options* options) {
  const gk_run_options chosen = known(options, "gk_run_options");
  check_inputs(plan, given, true);
  if (outputs == nullptr && plan.output_count() > 0) refuse("there is no place for outputs");
  const CompactInputs inputs(plan, given, true);
  const auto schedule = plan.schedule_for(inputs.data());
  Outputs places(outputs);
  for (size_t i = 0; i < plan.output_count(); ++i) places.add(plan, i, schedule->output_types[i]);
  check_overlap(plan, inputs.data(), outputs);
  RunRequest request;
  for (size_t i = 0; i < plan.input_count(); ++i) request.inputs.push_back(inputs.data()[i].data);
  for (size_t i = 0; i < plan.output_count(); ++i) request.outputs.push_back(places.data(i));
  std::vector<StepTime> times;
  request.cancel = chosen.cancel;
  if (chosen.times != nullptr) request.times = &times;
  plan.run(schedule, request);
  places.keep();
  if (chosen.times == nullptr) return;
  const auto count = static_cast<int32_t>(times.size());
  for (int32_t i = 0; i < std::min(count, chosen.time_capacity); ++i) {
    const StepTime& time = times[static_cast<size_t>(i)];
    chosen.times[i] = {time.name, time.op, time.seconds};
  }
  if (options->struct_size >= offsetof(gk_run_options, time_count) + sizeof count) options->time_count = count;
}

gk_value_info info_of(const PlanValue& value) {
  gk_value_info info = {};
  info.ndim = value.has_rank ? value.dims.rank : -1;
  info.dims = value.dims.at;
  info.name = value.name.c_str();
  info.dtype = value.dtype;
  info.decides_shapes = value.kind == ValueKind::kShapeInput;
  return info;
}

}  // namespace
}  // namespace graphopt

using namespace graphopt;

extern "C" {

int gk_plan_open(const void* data, size_t size, const void* weights, size_t weights_size,
                 const gk_plan_options* options, gk_plan** plan, gk_message* message) {
  return guarded(message, [&] {
    if (data == nullptr || plan == nullptr) refuse("there is no plan");
    const PlanBytes bytes = {static_cast<const char*>(data), size, static_cast<const char*>(weights), weights_size};
    *plan = new gk_plan{{}, {}, Plan(bytes, chosen(options))};
  });
}

int gk_plan_open_files(const char* path, const char* weights_path, const gk_plan_options* options, gk_plan** plan,
                       gk_message* message) {
  return guarded(message, [&] {
    if (path == nullptr || plan == nullptr) refuse("there is no plan");
    MappedFile file(path), weights = weights_path == nullptr ? MappedFile() : MappedFile(weights_path);
    const PlanBytes bytes = {file.data(), file.size(), weights.data(), weights.size()};
    PlanOptions mapped = chosen(options);
    mapped.release_weights = true;
    *plan = new gk_plan{std::move(file), std::move(weights), Plan(bytes, mapped)};
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
  if (index < 0 || index >= gk_plan_input_count(plan)) return GK_INVALID_ARGUMENT;
  return hand_over(info_of(plan->plan.input(static_cast<size_t>(index))), info);
}

int gk_plan_output(const gk_plan* plan, int32_t index, gk_value_info* info) {
  if (index < 0 || index >= gk_plan_output_count(plan)) return GK_INVALID_ARGUMENT;
  return hand_over(info_of(plan->plan.output(static_cast<size_t>(index))), info);
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
    const CompactInputs compact(plan->plan, inputs, false);
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
    run(plan->plan, inputs, outputs, options);
  });
}

void gk_plan_release_output(gk_tensor* output) {
  if (output != nullptr && output->data != nullptr) release_output(output);
}

int gk_plan_get_memory(const gk_plan* plan, gk_plan_memory* memory) {
  if (plan == nullptr) return GK_INVALID_ARGUMENT;
  const Plan::Memory found = plan->plan.memory();
  gk_plan_memory all = {};
  all.arena_bytes = found.arena;
  all.packed_bytes = found.packed;
  all.folded_bytes = found.folded;
  all.shapes = static_cast<int32_t>(found.schedules);
  all.lanes = static_cast<int32_t>(found.lanes);
  return hand_over(all, memory);
}

void gk_plan_park(gk_plan* plan) {
  if (plan != nullptr) plan->plan.park();
}

}  // extern "C"
