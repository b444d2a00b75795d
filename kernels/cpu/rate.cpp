#include "rate.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <new>
#include <thread>
#include <vector>

namespace graphopt {
namespace {

constexpr int kMostThreads = 4096, kMostSamples = 10001;

double seconds_of(clockid_t clock) {
  timespec t = {};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Processor time where its clock is fine enough for samples of a millisecond, else wall time.
clockid_t best_clock() {
  timespec resolution = {};
  const bool fine = clock_getres(CLOCK_THREAD_CPUTIME_ID, &resolution) == 0 && resolution.tv_sec == 0 &&
                    resolution.tv_nsec <= 10'000;
  return fine ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
}

// Lets `threads` threads pass together. Waiting yields, because there may be fewer cores.
class Gate {
 public:
  explicit Gate(int threads) : threads_(threads) {}

  // Whether to go on: as the last thread to arrive found `status`. All get the same answer, so that none waits at the
  // next gate for one that left when the status changed in between.
  bool pass(const std::atomic<int>& status) {
    const int round = round_.load(std::memory_order_acquire);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      waiting_.store(0, std::memory_order_relaxed);
      goes_on_ = status.load(std::memory_order_acquire) == GK_OK;
      round_.store(round + 1, std::memory_order_release);
      return goes_on_;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      if (spins > 1000) std::this_thread::yield();
    }
    return goes_on_;
  }

 private:
  const int threads_;
  bool goes_on_ = true;  // written when all are at the gate, read before any is at the next
  std::atomic<int> waiting_{0};
  std::atomic<int> round_{0};
};

class Measuring {
 public:
  Measuring(Work& work, const gk_measure_options& options)
      : work_(work), options_(options), clock_(best_clock()), gate_(options.threads),
        rates_(static_cast<std::size_t>(options.threads) * static_cast<std::size_t>(options.samples)) {}

  int measure(gk_measurement* result) {
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(options_.threads));
    try {
      for (int t = 0; t < options_.threads; ++t) threads.emplace_back([this, t] { body(t); });
    } catch (const std::exception&) {  // the system has no thread left
      fail(GK_SYSTEM_ERROR);
    }
    started_.store(failed() ? -1 : 1, std::memory_order_release);
    for (std::thread& thread : threads) thread.join();
    if (failed()) return status_.load();
    *result = summary();
    return GK_OK;
  }

 private:
  void fail(int status) {
    int expected = GK_OK;
    status_.compare_exchange_strong(expected, status);
  }

  bool failed() const { return status_.load(std::memory_order_acquire) != GK_OK; }

  void body(int thread) {
    while (started_.load(std::memory_order_acquire) == 0) std::this_thread::yield();
    if (started_.load(std::memory_order_acquire) < 0) return;
    if (const int status = work_.prepare(thread); status != GK_OK) fail(status);
    if (!gate_.pass(status_)) return;
    if (thread == 0) calibrate();
    if (!gate_.pass(status_)) return;
    for (int sample = -1; sample < options_.samples; ++sample) {  // -1: warm-up of all threads at once
      if (!gate_.pass(status_)) return;
      const double rate = timed(thread, repeat_).units_per_second;
      if (sample >= 0) rates_[index(sample, thread)] = rate;
    }
  }

  struct Timed {
    double seconds = 0;
    double units_per_second = 0;
  };

  Timed timed(int thread, std::int64_t repeat) {
    double units = 0;
    const double begin = seconds_of(clock_);
    const int status = work_.run(thread, repeat, &units);
    const double seconds = std::max(seconds_of(clock_) - begin, 1e-9);
    if (status != GK_OK) fail(status);
    return {seconds, units / seconds};
  }

  // Finds how often to repeat the work to fill a sample; this warms the core up as well.
  void calibrate() {
    repeat_ = 1;
    while (!failed()) {
      const double seconds = timed(0, repeat_).seconds;
      if (seconds >= options_.seconds / 4 || repeat_ >= kMostRepeats) {
        const double wanted = std::round(static_cast<double>(repeat_) * options_.seconds / seconds);
        repeat_ = std::clamp(static_cast<std::int64_t>(wanted), std::int64_t{1}, kMostRepeats);
        return;
      }
      repeat_ *= 4;
    }
  }

  std::size_t index(int sample, int thread) const {
    return static_cast<std::size_t>(sample) * static_cast<std::size_t>(options_.threads) +
           static_cast<std::size_t>(thread);
  }

  gk_measurement summary() const {
    std::vector<double> totals(static_cast<std::size_t>(options_.samples));
    for (int sample = 0; sample < options_.samples; ++sample) {
      for (int thread = 0; thread < options_.threads; ++thread) {
        totals[static_cast<std::size_t>(sample)] += rates_[index(sample, thread)];
      }
    }
    std::sort(totals.begin(), totals.end());
    return {totals[totals.size() / 2], totals.front(), totals.back(), options_.samples, options_.threads};
  }

  static constexpr std::int64_t kMostRepeats = std::int64_t{1} << 34;

  Work& work_;
  const gk_measure_options options_;
  const clockid_t clock_;
  Gate gate_;
  std::vector<double> rates_;
  std::int64_t repeat_ = 1;
  std::atomic<int> status_{GK_OK};
  std::atomic<int> started_{0};
};

bool valid(const gk_measure_options& options) {
  return options.threads >= 1 && options.threads <= kMostThreads && options.samples >= 1 &&
         options.samples <= kMostSamples && options.samples % 2 == 1 && options.seconds > 0 &&
         options.seconds <= 10;
}

}  // namespace

int measure_rate(Work& work, const gk_measure_options& options, gk_measurement* result) {
  if (result == nullptr || !valid(options)) return GK_INVALID_ARGUMENT;
  try {
    return Measuring(work, options).measure(result);
  } catch (const std::bad_alloc&) {
    return GK_SYSTEM_ERROR;
  }
}

}  // namespace graphopt
