// What this CPU and its operating system can execute. Baseline code only.
#pragma once

#include <cstdint>

namespace graphopt {

// One bit per feature that some level of isa.cpp needs or that a person may want to see.
enum Feature : std::uint64_t {
  kNone = 0,
#define GK_FEATURE(bit, id, name) id = std::uint64_t{1} << (bit),
#include "features.def"
#undef GK_FEATURE
};

// The features present, detected once.
std::uint64_t cpu_features();

}  // namespace graphopt
