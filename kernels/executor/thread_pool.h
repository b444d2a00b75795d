// Threads for the loops inside kernels. The thread that calls takes part; a loop is cut into one chunk per
// thread, and who is done early takes chunks that nobody has begun, so a sleeping or missing thread delays no
// loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "graphopt/graphopt.h"

namespace graphopt {

class ThreadPool {
 public:
  // `threads` counts the caller. The others start at the first loop.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // One plan's run: while it lasts the threads wait for its loops awake.
  class Turn {
   public:
    explicit Turn(ThreadPool* pool);
    ~Turn();
    // All of [0, count), here and on the other threads unless they serve another run.
    void run(int64_t count, int64_t grain, gk_body body, void* context);

   private:
    ThreadPool& pool_;
    bool owner_ = false;
  };

  // The threads go to sleep now instead of after a while.
  void park() { parked_.store(true, std::memory_order_relaxed); }

 private:
  // Chunks [next, end) of loop `loop` that no thread has begun, in one word.
  struct alignas(64) Claims {
    std::atomic<uint64_t> word{0};
  };
  struct Loop {
    gk_body body;
    void* context;
    int64_t count, chunk;
  };

  void run_loop(int64_t count, int64_t grain, gk_body body, void* context);
  void work(int32_t worker);
  bool claim(Claims& claims, int64_t* chunk);
  void wait_until_done();
  void start();
  void serve(int32_t worker);
  void wait_for_loop(uint32_t seen, int64_t* patience);

  const int threads_;
  std::unique_ptr<Claims[]> claims_;
  alignas(64) Loop loop_ = {};
  uint32_t number_ = 0; // of the loop
  alignas(64) std::atomic<uint32_t> posted_{0}; // counts loops; threads wait for it to change
  std::atomic<int32_t> sleepers_{0};
  std::atomic<bool> stopping_{false}, parked_{false};
  alignas(64) std::atomic<uint32_t> pending_{0}; // chunks not done
  std::atomic<bool> caller_sleeps_{false};
  alignas(64) std::atomic<int32_t> runs_{0}; // Turns there are
  std::atomic<bool> owned_{false};
  std::vector<std::thread> workers_;
  int process_ = 0; // that started them
};

// The process's pool of that many threads: plans share it.
std::shared_ptr<ThreadPool> shared_pool(int threads);

}  // namespace graphopt
