// Every element of a loop is done once, by workers that no two chunks at a time share, whoever else is running.
#include "executor/thread_pool.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

using graphopt::ThreadPool;

namespace {

struct Counts {
  explicit Counts(size_t count, int threads) : times(count), busy(static_cast<size_t>(threads)) {}
  std::vector<std::atomic<int>> times, busy;
  std::atomic<int> chunks{0}, clashes{0};

  static void body(void* context, int64_t begin, int64_t end, int32_t worker) {
    auto* self = static_cast<Counts*>(context);
    if (self->busy[static_cast<size_t>(worker)].fetch_add(1) != 0) ++self->clashes;
    ++self->chunks;
    for (int64_t i = begin; i < end; ++i) ++self->times[static_cast<size_t>(i)];
    self->busy[static_cast<size_t>(worker)].fetch_sub(1);
  }
  bool all_once() const {
    for (const auto& count : times) {
      if (count.load() != 1) return false;
    }
    return clashes.load() == 0;
  }
};

void covers_everything_once() {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (const int64_t count : {1, 2, 7, 64, 1001}) {
      for (const int64_t grain : {1, 3, 50, 5000}) {
        Counts counts(static_cast<size_t>(count), threads);
        ThreadPool::Turn turn(&pool);
        turn.run(count, grain, &Counts::body, &counts);
        CHECK(counts.all_once());
        CHECK(counts.chunks.load() <= std::max<int64_t>(1, std::min<int64_t>(threads, count / grain)));
      }
    }
  }
}

void many_loops_in_a_row() {
  ThreadPool pool(3);
  for (int round = 0; round < 300; ++round) {
    ThreadPool::Turn turn(&pool);
    for (int loop = 0; loop < 3; ++loop) {
      Counts counts(10, 3);
      turn.run(10, 1, &Counts::body, &counts);
      CHECK(counts.all_once());
    }
    if (round % 50 == 0) pool.park();
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void runs_at_the_same_time() {
  ThreadPool pool(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        ThreadPool::Turn turn(&pool);
        Counts counts(50, 2);
        turn.run(50, 1, &Counts::body, &counts);
        if (!counts.all_once()) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong.load() == 0);
}

#ifndef __SANITIZE_THREAD__ // which cannot follow a fork
void a_forked_process_goes_on_alone() {
  ThreadPool pool(2);
  Counts before(8, 2);
  ThreadPool::Turn(&pool).run(8, 1, &Counts::body, &before);
  const pid_t child = fork();
  if (child == 0) {
    Counts counts(8, 2);
    ThreadPool::Turn(&pool).run(8, 1, &Counts::body, &counts);
    _exit(counts.all_once() ? 0 : 1);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}
#endif

void one_pool_for_all_plans() {
  const auto pool = graphopt::shared_pool(2);
  CHECK(pool == graphopt::shared_pool(2));
  CHECK(pool != graphopt::shared_pool(3));
}

}  // namespace

void test_thread_pool() {
  covers_everything_once();
  many_loops_in_a_row();
  runs_at_the_same_time();
#ifndef __SANITIZE_THREAD__
  a_forked_process_goes_on_alone();
#endif
  one_pool_for_all_plans();
}
