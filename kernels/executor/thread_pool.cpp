#include "executor/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <system_error>

#include <unistd.h>

#include "executor/denormals.h"
#include "executor/futex.h"

namespace graphopt {
namespace {

// How long a thread waits awake, in nanoseconds. Between two loops of one run the core is the run's anyway;
// after it, as long as the next run used to take to come.
constexpr int64_t kWithinRun = 500'000, kLeastPatience = 10'000, kMostPatience = 200'000;

int64_t nanoseconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

constexpr uint64_t word_of(uint32_t loop, uint32_t next, uint32_t end) {
  return uint64_t{loop} << 32 | uint64_t{next} << 16 | end;
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : threads_(std::max(threads, 1)), claims_(new Claims[static_cast<size_t>(threads_)]) {}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  posted_.fetch_add(1);
  wake_all(posted_);
  for (std::thread& worker : workers_) {
    if (getpid() == process_) {
      worker.join();
    } else {
      worker.detach(); // a forked process has none of its parent's threads
    }
  }
}

void ThreadPool::start() {
  process_ = getpid();
  // A thread that the system refuses is missed by nobody: its chunks are taken by the others.
  try {
    while (static_cast<int>(workers_.size()) < threads_ - 1) {
      const auto worker = static_cast<int32_t>(workers_.size()) + 1;
      workers_.emplace_back([this, worker] { serve(worker); });
    }
  } catch (const std::system_error&) {
  }
}

void ThreadPool::serve(int32_t worker) {
  const FlushDenormals flush;
  int64_t patience = kMostPatience;
  uint32_t seen = posted_.load(std::memory_order_acquire);
  while (!stopping_.load(std::memory_order_relaxed)) {
    work(worker);
    wait_for_loop(seen, &patience);
    seen = posted_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_for_loop(uint32_t seen, int64_t* patience) {
  const int64_t begin = nanoseconds();
  while (!parked_.load(std::memory_order_relaxed)) {
    for (int i = 0; i < 16; ++i) {
      if (posted_.load(std::memory_order_acquire) != seen) return;
      pause_briefly();
    }
    const int64_t now = nanoseconds();
    const bool running = runs_.load(std::memory_order_relaxed) > 0;
    if (now - begin > (running ? kWithinRun : *patience)) break;
  }
  sleepers_.fetch_add(1);
  while (posted_.load() == seen && !stopping_.load()) sleep_while(posted_, seen);
  sleepers_.fetch_sub(1);
  const bool soon = nanoseconds() - begin < 2 * kMostPatience;
  *patience = soon ? std::min(*patience * 2, kMostPatience) : std::max(*patience / 2, kLeastPatience);
}

bool ThreadPool::claim(Claims& claims, int64_t* chunk) {
  uint64_t word = claims.word.load(std::memory_order_acquire);
  while ((word >> 16 & 0xFFFF) < (word & 0xFFFF)) {
    if (claims.word.compare_exchange_weak(word, word + (1 << 16), std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
      *chunk = static_cast<int64_t>(word >> 16 & 0xFFFF);
      return true;
    }
  }
  return false;
}

void ThreadPool::work(int32_t worker) {
  // From here on the loop cannot end before this chunk does: loop_ may be read once one is claimed.
  for (int turn = 0; turn < threads_; ++turn) {
    Claims& claims = claims_[static_cast<size_t>((worker + turn) % threads_)];
    int64_t chunk;
    while (claim(claims, &chunk)) {
      const int64_t begin = chunk * loop_.chunk;
      loop_.body(loop_.context, begin, std::min(begin + loop_.chunk, loop_.count), worker);
      if (pending_.fetch_sub(1) == 1 && caller_sleeps_.load()) wake_all(pending_);
    }
  }
}

void ThreadPool::wait_until_done() {
  for (int i = 0; pending_.load(std::memory_order_acquire) != 0; ++i) {
    if (i < 20'000) {
      pause_briefly();
      continue;
    }
    caller_sleeps_.store(true);
    for (uint32_t left = pending_.load(); left != 0; left = pending_.load()) sleep_while(pending_, left);
    caller_sleeps_.store(false);
  }
}

void ThreadPool::run_loop(int64_t count, int64_t grain, gk_body body, void* context) {
  const int64_t least = std::max<int64_t>(grain, 1);
  const int64_t chunks = std::clamp<int64_t>(count / least, 1, threads_);
  if (chunks == 1) {
    body(context, 0, count, 0);
    return;
  }
  if (workers_.empty()) start();
  const int64_t chunk = (count + chunks - 1) / chunks;
  const auto used = static_cast<uint32_t>((count + chunk - 1) / chunk);
  loop_ = {body, context, count, chunk};
  pending_.store(used, std::memory_order_relaxed);
  ++number_;
  for (uint32_t i = 0; i < used; ++i) {
    claims_[i].word.store(word_of(number_, i, i + 1), std::memory_order_release);
  }
  if (parked_.load(std::memory_order_relaxed)) parked_.store(false, std::memory_order_relaxed);
  posted_.fetch_add(1);
  if (sleepers_.load() > 0) wake_all(posted_);
  work(0);
  wait_until_done();
}

ThreadPool::Turn::Turn(ThreadPool* pool) : pool_(*pool) { pool_.runs_.fetch_add(1); }

ThreadPool::Turn::~Turn() {
  if (owner_) pool_.owned_.store(false, std::memory_order_release);
  pool_.runs_.fetch_sub(1);
}

void ThreadPool::Turn::run(int64_t count, int64_t grain, gk_body body, void* context) {
  const int32_t runs = pool_.runs_.load(std::memory_order_relaxed);
  // With as many runs as threads each run has a core of its own already.
  if (!owner_ && runs < pool_.threads_) owner_ = !pool_.owned_.exchange(true, std::memory_order_acquire);
  if (owner_ && runs < pool_.threads_) {
    pool_.run_loop(count, grain, body, context);
  } else {
    body(context, 0, count, 0);
  }
}

std::shared_ptr<ThreadPool> shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[threads].lock();
  if (pool == nullptr) pools[threads] = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

}  // namespace graphopt
