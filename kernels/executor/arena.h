// Offsets in one block of memory for things that are not all there at the same time.
#pragma once

#include <cstdint>
#include <vector>

namespace graphopt {

struct Lifetime {
  uint64_t bytes = 0;
  int first = 0, last = 0; // both included
  uint64_t offset = 0;     // the result, a multiple of GK_ALIGNMENT
};

// Fills the offsets; the bytes of the whole. Throws Failure where they do not fit into a number.
uint64_t plan_arena(std::vector<Lifetime>* lifetimes);

}  // namespace graphopt
