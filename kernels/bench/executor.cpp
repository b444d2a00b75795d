// What a run costs besides its kernels: time per step of a plan whose kernels have nothing to do, time of a run
// without steps, and time of handing a parallel loop to the other threads.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "executor/thread_pool.h"
#include "tests/plan_builder.h"

int g_failures = 0; // of CHECK, which the plan builder brings along

namespace {

// The least of many short samples, in nanoseconds: what it costs when nobody disturbs it.
template <class Body>
double nanoseconds(int repeat, Body body) {
  double least = 1e30;
  for (int sample = 0; sample < 200; ++sample) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeat; ++i) body();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    least = std::min(least, taken.count() / repeat);
  }
  return least;
}

// x of no elements, copied `steps` times.
double run_of(int steps) {
  PlanBuilder plan;
  int32_t last = plan.input("x", kF32, {0});
  for (int i = 0; i < steps; ++i) {
    const int32_t next = plan.intermediate("v");
    plan.add(PlanBuilder::step("copy", {last}, {next}));
    last = next;
  }
  const OpenPlan open(plan.bytes({last}));
  int64_t shape[] = {0};
  float nothing = 0;
  const gk_tensor input = {&nothing, {GK_CPU, 0}, 1, kF32, shape, nullptr, 0};
  gk_tensor output = input;
  return nanoseconds(steps > 100 ? 10 : 1000, [&] {
    if (gk_plan_run(open.plan, &input, &output, nullptr, nullptr) != GK_OK) std::puts("a run failed");
  });
}

void nothing(void*, int64_t, int64_t, int32_t) {}

// A loop of one empty chunk per thread, `pause` nanoseconds after the last.
double loop_of(int threads, double pause) {
  graphopt::ThreadPool pool(threads);
  graphopt::ThreadPool::Turn turn(&pool);
  double least = 1e30, sum = 0;
  constexpr int kSamples = 2000;
  for (int i = 0; i < kSamples; ++i) {
    const auto idle = std::chrono::steady_clock::now();
    while (std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - idle).count() < pause) {
    }
    const auto begin = std::chrono::steady_clock::now();
    turn.run(threads, 1, nothing, nullptr);
    const double taken = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
    least = std::min(least, taken);
    sum += taken;
  }
  std::printf("parallel loop, %d threads, %4.0f us after the last: %8.0f ns least, %8.0f ns mean\n", threads,
              pause / 1e3, least, sum / kSamples);
  return least;
}

}  // namespace

int main() {
  const double none = run_of(1), many = run_of(1001);
  std::printf("run of one step: %.0f ns\nstep: %.1f ns\n", none, (many - none) / 1000);
  const int threads = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  for (const double pause : {0.0, 20e3, 200e3}) loop_of(threads, pause);
  return g_failures;
}
