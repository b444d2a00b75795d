#include "executor/plan.h"

#include <algorithm>

#include "executor/failure.h"
#include "executor/feeds.h"
#include "executor/placement.h"
#include "executor/resolver.h"

namespace graphopt {
namespace {

// Sets of shapes remembered; the one unused for longest is forgotten.
constexpr size_t kMostSchedules = 32;
constexpr int kMostThreads = 1024;

}  // namespace

Plan::Plan(const PlanBytes& bytes, const PlanOptions& options) : options_(options), packs_(allocator()) {
  if (options.threads < 1 || options.threads > kMostThreads) {
    refuse("a plan takes 1 to " + std::to_string(kMostThreads) + " threads, not " + std::to_string(options.threads));
  }
  if ((options.allocator.allocate == nullptr) != (options.allocator.release == nullptr)) {
    refuse("an allocator needs both its functions");
  }
  read_plan(bytes, options.isa, allocator(), &data_);
  pool_ = shared_pool(options.threads);
}

std::shared_ptr<const Schedule> Plan::schedule_for(const gk_tensor* inputs) {
  thread_local std::string key;
  feed_key(data_, inputs, &key);
  const auto find = [&]() -> std::shared_ptr<const Schedule> {
    const std::lock_guard lock(mutex_);
    const auto found = schedules_.find(key);
    if (found == schedules_.end()) return nullptr;
    found->second.used = ++clock_;
    return found->second.schedule;
  };
  if (auto found = find()) return found;
  check_feeds(data_, inputs);
  const std::lock_guard making(making_);
  if (auto found = find()) return found; // another thread made it meanwhile
  std::shared_ptr<const Schedule> schedule = make_schedule(inputs);
  const std::lock_guard lock(mutex_);
  if (schedules_.size() >= kMostSchedules) forget_oldest();
  schedules_[key] = {schedule, ++clock_};
  return schedule;
}

std::shared_ptr<const Schedule> Plan::make_schedule(const gk_tensor* inputs) {
  std::vector<TensorType> types(input_count());
  std::vector<const void*> contents(input_count());
  for (size_t i = 0; i < types.size(); ++i) {
    types[i].dtype = inputs[i].dtype;
    types[i].dims.rank = inputs[i].ndim;
    std::copy_n(inputs[i].shape, inputs[i].ndim, types[i].dims.at);
    if (input(i).kind == ValueKind::kShapeInput) {
      contents[i] = static_cast<const char*>(inputs[i].data) + inputs[i].byte_offset;
    }
  }
  auto schedule = std::make_shared<Schedule>();
  schedule->allocator = allocator();
  resolve(data_, types, contents, schedule.get());
  choose_memory(data_, schedule.get());
  const auto check = [this](uint64_t bytes) { check_limit(bytes); };
  prepare(data_, {options_.threads, options_.release_weights, check}, &packs_, schedule.get());
  place(schedule.get());
  check_limit(schedule->arena_bytes + packs_.bytes() + schedule->memory_bytes);
  return schedule;
}

void Plan::check_limit(uint64_t bytes) const {
  if (options_.memory_limit == 0 || bytes <= options_.memory_limit) return;
  throw Failure(GK_SYSTEM_ERROR, "the plan needs " + std::to_string(bytes) +
                                     " bytes for inputs of these shapes, more than its limit of " +
                                     std::to_string(options_.memory_limit));
}

void Plan::forget_oldest() {
  const auto older = [](const auto& a, const auto& b) { return a.second.used < b.second.used; };
  const auto oldest = std::min_element(schedules_.begin(), schedules_.end(), older);
  for (const auto& lane : free_lanes_) lane->forget(oldest->second.schedule.get());
  schedules_.erase(oldest);
}

std::unique_ptr<Lane> Plan::take_lane() {
  const std::lock_guard lock(mutex_);
  if (free_lanes_.empty()) {
    free_lanes_.reserve(lanes_ + 1); // giving one back never fails
    auto lane = std::make_unique<Lane>(pool_);
    ++lanes_;
    return lane;
  }
  std::unique_ptr<Lane> lane = std::move(free_lanes_.back());
  free_lanes_.pop_back();
  return lane;
}

void Plan::give_back(std::unique_ptr<Lane> lane) {
  const std::lock_guard lock(mutex_);
  free_lanes_.push_back(std::move(lane));
}

void Plan::run(const std::shared_ptr<const Schedule>& schedule, const RunRequest& request) {
  std::unique_ptr<Lane> lane = take_lane();
  try {
    lane->run(schedule, request);
  } catch (...) {
    give_back(std::move(lane));
    throw;
  }
  give_back(std::move(lane));
}

Plan::Memory Plan::memory() const {
  Memory memory;
  memory.packed = packs_.bytes();
  const std::lock_guard lock(mutex_);
  for (const auto& [key, cached] : schedules_) memory.folded += cached.schedule->memory_bytes;
  for (const auto& lane : free_lanes_) memory.arena += lane->arena_bytes();
  memory.schedules = schedules_.size();
  memory.lanes = lanes_;
  return memory;
}

}  // namespace graphopt
