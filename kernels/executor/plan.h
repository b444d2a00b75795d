// An open plan: finds or makes the schedule for the shapes of a run, and a lane to run it on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "executor/lane.h"
#include "executor/plan_reader.h"
#include "executor/preparation.h"

namespace graphopt {

struct PlanOptions {
  int32_t isa = GK_ISA_BEST;
  int threads = 1;
  bool release_weights = false;
  gk_allocator allocator = {}; // without functions: the C library's
  uint64_t memory_limit = 0; // bytes of the arena, of what is packed and of outputs the plan allocates; 0: none
};

class Plan {
 public:
  Plan(const PlanBytes& bytes, const PlanOptions& options);

  const PlanData& data() const { return data_; }
  size_t input_count() const { return data_.program.inputs.size(); }
  size_t output_count() const { return data_.program.outputs.size(); }
  const PlanValue& input(size_t i) const { return data_.values[data_.program.inputs[i]]; }
  const PlanValue& output(size_t i) const { return data_.values[data_.program.outputs[i]]; }

  // The schedule for inputs of these shapes; checks them against the plan.
  std::shared_ptr<const Schedule> schedule_for(const gk_tensor* inputs);
  // Inputs and outputs compact, of the shapes the schedule was made for.
  void run(const std::shared_ptr<const Schedule>& schedule, const RunRequest& request);

  void park() { pool_->park(); }
  const gk_allocator* allocator() const { return options_.allocator.allocate == nullptr ? nullptr : &options_.allocator; }
  // Throws Failure where `bytes` are more than the limit.
  void check_limit(uint64_t bytes) const;

  struct Memory {
    uint64_t arena = 0, packed = 0, folded = 0;
    size_t schedules = 0, lanes = 0;
  };
  Memory memory() const;

 private:
  struct Cached {
    std::shared_ptr<const Schedule> schedule;
    uint64_t used = 0;
  };

  std::shared_ptr<const Schedule> make_schedule(const gk_tensor* inputs);
  void forget_oldest();
  std::unique_ptr<Lane> take_lane();
  void give_back(std::unique_ptr<Lane> lane);

  const PlanOptions options_; // its allocator outlives what it allocated
  PlanData data_;
  std::shared_ptr<ThreadPool> pool_;
  PackStore packs_;

  mutable std::mutex mutex_; // of everything below
  std::map<std::string, Cached> schedules_;
  uint64_t clock_ = 0;
  std::vector<std::unique_ptr<Lane>> free_lanes_;
  size_t lanes_ = 0;
  std::mutex making_; // one schedule is made at a time
};

}  // namespace graphopt
