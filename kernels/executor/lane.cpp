#include "executor/lane.h"

#include <algorithm>
#include <chrono>

#include "executor/denormals.h"
#include "executor/failure.h"

namespace graphopt {
namespace {

constexpr size_t kMostBound = 64;

}  // namespace

BoundCalls::BoundCalls(std::shared_ptr<const Schedule> schedule, char* arena, const gk_parallel* parallel)
    : schedule_(std::move(schedule)), calls_(schedule_->calls.size()) {
  size_t tensors = 0, inputs = 0;
  for (const ScheduledCall& call : schedule_->calls) tensors += call.inputs.size() + call.outputs.size();
  for (const Storage& storage : schedule_->storages) {
    if (storage.where == Where::kInput) inputs = std::max(inputs, static_cast<size_t>(storage.index) + 1);
  }
  tensors_.resize(tensors);
  input_patches_.resize(inputs);
  output_patches_.resize(schedule_->outputs.size());
  gk_tensor* next = tensors_.data();
  for (size_t at = 0; at < calls_.size(); ++at) {
    const ScheduledCall& from = schedule_->calls[at];
    Bound& to = calls_[at];
    to.kernel = from.kernel;
    to.target = from.target;
    to.always = from.kind == CallKind::kJump;
    to.call.abi_version = GK_ABI_VERSION;
    to.call.struct_size = sizeof to.call;
    to.call.inputs = next;
    to.call.input_count = static_cast<int32_t>(from.inputs.size());
    for (const Ref& ref : from.inputs) bind(next++, ref, arena);
    to.call.outputs = next;
    to.call.output_count = static_cast<int32_t>(from.outputs.size());
    for (const Ref& ref : from.outputs) bind(next++, ref, arena);
    if (from.step != nullptr) {
      to.call.attributes = from.step->attributes.data();
      to.call.attribute_count = static_cast<int32_t>(from.step->attributes.size());
    }
    to.call.phase = GK_RUN;
    to.call.parallel = parallel;
    to.call.prepared = from.prepared;
    to.call.packed = from.packed;
    if (from.workspace >= 0) {
      const Storage& workspace = schedule_->storages[static_cast<size_t>(from.workspace)];
      to.call.workspace = {arena + workspace.offset, static_cast<size_t>(workspace.bytes)};
    }
    for (size_t i = 0; i < from.inputs.size() && i < 32; ++i) {
      if (from.inputs[i].present() && schedule_->root_of(from.inputs[i]).where == Where::kFixed) {
        to.call.constant_inputs |= uint32_t{1} << i;
      }
    }
  }
}

void BoundCalls::bind(gk_tensor* tensor, const Ref& ref, char* arena) {
  *tensor = tensor_of(ref, nullptr);
  if (!ref.present()) return;
  const Storage& storage = schedule_->root_of(ref);
  switch (storage.where) {
    case Where::kArena: tensor->data = arena + storage.offset + ref.offset; break;
    case Where::kFixed: tensor->data = const_cast<char*>(storage.data) + ref.offset; break;
    case Where::kInput: input_patches_[static_cast<size_t>(storage.index)].push_back({tensor, ref.offset}); break;
    case Where::kOutput: output_patches_[static_cast<size_t>(storage.index)].push_back({tensor, ref.offset}); break;
  }
}

void BoundCalls::run(const RunRequest& request) {
  for (size_t i = 0; i < input_patches_.size(); ++i) {
    char* data = static_cast<char*>(const_cast<void*>(request.inputs[i]));
    for (const Patch& patch : input_patches_[i]) patch.tensor->data = data + patch.offset;
  }
  for (size_t i = 0; i < output_patches_.size(); ++i) {
    char* data = static_cast<char*>(request.outputs[i]);
    for (const Patch& patch : output_patches_[i]) patch.tensor->data = data + patch.offset;
  }
  const auto clock = [] { return std::chrono::steady_clock::now(); };
  for (size_t at = 0; at < calls_.size();) {
    const Bound& bound = calls_[at];
    if (request.cancel != nullptr && __atomic_load_n(request.cancel, __ATOMIC_RELAXED) != 0) {
      throw Failure(GK_CANCELLED, "the run was cancelled");
    }
    if (bound.kernel == nullptr) {
      const bool jump = bound.always || *static_cast<const uint8_t*>(bound.call.inputs[0].data) == 0;
      at = jump ? static_cast<size_t>(bound.target) : at + 1;
      continue;
    }
    int status;
    if (request.times == nullptr) {
      status = bound.kernel(&bound.call);
    } else {
      const auto begin = clock();
      status = bound.kernel(&bound.call);
      const Step* step = schedule_->calls[at].step;
      request.times->push_back({step == nullptr ? "" : step->name.c_str(), step == nullptr ? "copy" : step->op.c_str(),
                                std::chrono::duration<double>(clock() - begin).count()});
    }
    if (status != GK_OK) fail_to_run(schedule_->calls[at], status);
    ++at;
  }
}

Lane::Lane(std::shared_ptr<ThreadPool> pool)
    : pool_(std::move(pool)), parallel_{this, pool_->threads(), &Lane::run_loop} {}

int Lane::run_loop(void* lane, int64_t count, int64_t grain, gk_body body, void* context) {
  static_cast<Lane*>(lane)->turn_->run(count, grain, body, context);
  return 0;
}

void Lane::run(const std::shared_ptr<const Schedule>& schedule, const RunRequest& request) {
  if (schedule->arena_bytes > arena_.size()) {
    bound_.clear();
    arena_ = Block();
    arena_ = Block(schedule->arena_bytes, schedule->allocator);
  }
  if (bound_.size() >= kMostBound) bound_.clear(); // some of them forgotten by the plan long ago
  std::unique_ptr<BoundCalls>& bound = bound_[schedule.get()];
  if (bound == nullptr) bound = std::make_unique<BoundCalls>(schedule, arena_.data(), &parallel_);
  const FlushDenormals flush;
  ThreadPool::Turn turn(pool_.get());
  turn_ = &turn;
  bound->run(request);
}

}  // namespace graphopt
