// The measurement itself: what it refuses, and that its figures are figures. Whether they are plausible
// is tested from Python, as ratios.
#include <cmath>

#include "check.h"
#include "cpu/rate.h"

namespace {

constexpr gk_measure_options kQuick = {1, 3, 1e-4};

bool sane(const gk_measurement& m, const gk_measure_options& options) {
  return std::isfinite(m.high) && 0 < m.low && m.low <= m.median && m.median <= m.high &&
         m.samples == options.samples && m.threads == options.threads;
}

void figures_are_sane() {
  for (int threads : {1, 2, 5}) {
    const gk_measure_options options = {threads, 3, 1e-4};
    gk_measurement m = {};
    CHECK(gk_measure_clock(&options, &m) == GK_OK && sane(m, options));
    for (const int32_t isa : supported_levels()) {
      CHECK(gk_measure_peak(isa, kF32, &options, &m) == GK_OK && sane(m, options));
      CHECK(gk_measure_bandwidth(isa, "stream_read", 4096, &options, &m) == GK_OK && sane(m, options));
      CHECK(gk_measure_bandwidth(isa, "stream_copy", 4096, &options, &m) == GK_OK && sane(m, options));
    }
  }
}

void wrong_questions_are_refused() {
  gk_measurement m = {};
  CHECK(gk_measure_peak(-5, kF32, &kQuick, &m) == GK_UNSUPPORTED_ISA);
  CHECK(gk_measure_peak(GK_ISA_BEST, kU64, &kQuick, &m) == GK_UNSUPPORTED);
  CHECK(gk_measure_peak(supported_levels().front(), kBf16, &kQuick, &m) == GK_UNSUPPORTED);
  CHECK(gk_measure_bandwidth(GK_ISA_BEST, "fma_peak", 4096, &kQuick, &m) == GK_UNKNOWN_KERNEL);
  CHECK(gk_measure_bandwidth(-5, "stream_read", 4096, &kQuick, &m) == GK_UNSUPPORTED_ISA);
  for (const size_t bytes : {size_t{0}, size_t{4097}, size_t{1} << 41}) {
    CHECK(gk_measure_bandwidth(GK_ISA_BEST, "stream_read", bytes, &kQuick, &m) == GK_INVALID_ARGUMENT);
  }
  const gk_measure_options wrong[] = {{0, 3, 1e-4}, {1 << 20, 3, 1e-4}, {1, 2, 1e-4}, {1, 0, 1e-4},
                                      {1, 3, 0},    {1, 3, -1},         {1, 3, 1e9},  {1, 3, NAN}};
  for (const gk_measure_options& options : wrong) {
    CHECK(gk_measure_clock(&options, &m) == GK_INVALID_ARGUMENT);
  }
  CHECK(gk_measure_clock(&kQuick, nullptr) == GK_INVALID_ARGUMENT);
  CHECK(gk_measure_clock(nullptr, &m) == GK_INVALID_ARGUMENT);
}

// Fails in one thread, at its n-th step.
class Failing final : public graphopt::Work {
 public:
  Failing(int thread, int step) : thread_(thread), left_(step) {}
  int prepare(int thread) override { return step(thread); }
  int run(int thread, std::int64_t repeat, double* units) override {
    *units = static_cast<double>(repeat);
    return step(thread);
  }

 private:
  int step(int thread) { return thread == thread_ && left_-- == 0 ? GK_SYSTEM_ERROR : GK_OK; }

  const int thread_;
  int left_;
};

// However late the others notice: no thread may wait for one that has left.
void failures_end_the_measurement() {
  for (int round = 0; round < 300; ++round) {
    Failing work(round % 3, round / 3 % 3);  // every thread prepares, warms up and runs
    const gk_measure_options options = {3, 1, 1e-6};
    gk_measurement m = {};
    CHECK(graphopt::measure_rate(work, options, &m) == GK_SYSTEM_ERROR);
  }
}

}  // namespace

void test_ceilings() {
  figures_are_sane();
  wrong_questions_are_refused();
  failures_end_the_measurement();
}
