// Measuring how fast a piece of work runs on some threads at once. Baseline code only.
#pragma once

#include <cstdint>

#include "graphopt/graphopt.h"

namespace graphopt {

// Work that each thread does on its own.
class Work {
 public:
  virtual ~Work() = default;
  // Called once on each thread before anything is timed: allocates and touches its memory.
  virtual int prepare(int thread) = 0;
  // Does the work `repeat` times over and adds the units done (operations, bytes) to *units.
  virtual int run(int thread, std::int64_t repeat, double* units) = 0;
};

// Times `work` on options.threads threads at once, options.samples times after a warm-up. The rate
// of a sample is the sum over threads of units per second of that thread's own processor time, so
// that being preempted by other programs does not count against the machine; where the system has
// no fine processor clock, wall time is used.
int measure_rate(Work& work, const gk_measure_options& options, gk_measurement* result);

}  // namespace graphopt
