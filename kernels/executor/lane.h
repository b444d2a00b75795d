// One run at a time: an arena, and the calls of each schedule bound to it.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "executor/schedule.h"
#include "executor/thread_pool.h"

namespace graphopt {

// Called after each call of a run that is profiled.
struct StepTime {
  const char* name;
  const char* op;
  double seconds;
};

struct RunRequest {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  const volatile int32_t* cancel = nullptr; // the run ends early once it is not zero
  std::vector<StepTime>* times = nullptr;
};

// A schedule whose calls point at memory.
class BoundCalls {
 public:
  BoundCalls(std::shared_ptr<const Schedule> schedule, char* arena, const gk_parallel* parallel);
  void run(const RunRequest& request);
  const Schedule& schedule() const { return *schedule_; }

 private:
  struct Bound {
    gk_call call = {};
    gk_kernel kernel = nullptr; // null: a jump
    int target = 0;
    bool always = false; // the jump
  };
  struct Patch {
    gk_tensor* tensor;
    int64_t offset;
  };

  void bind(gk_tensor* tensor, const Ref& ref, char* arena);

  std::shared_ptr<const Schedule> schedule_;
  std::vector<Bound> calls_;
  std::vector<gk_tensor> tensors_;
  std::vector<std::vector<Patch>> input_patches_, output_patches_;
};

class Lane {
 public:
  explicit Lane(std::shared_ptr<ThreadPool> pool);

  // Computes into request.outputs. Throws Failure.
  void run(const std::shared_ptr<const Schedule>& schedule, const RunRequest& request);
  uint64_t arena_bytes() const { return arena_.size(); }
  void forget(const Schedule* schedule) { bound_.erase(schedule); }

 private:
  static int run_loop(void* lane, int64_t count, int64_t grain, gk_body body, void* context);

  std::shared_ptr<ThreadPool> pool_;
  gk_parallel parallel_;
  ThreadPool::Turn* turn_ = nullptr;
  Block arena_;
  std::map<const Schedule*, std::unique_ptr<BoundCalls>> bound_;
};

}  // namespace graphopt
