// Largest first, each into the tightest gap between those it meets in time that were placed before it
// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
#include "executor/arena.h"

#include <algorithm>
#include <numeric>

#include "executor/failure.h"

namespace graphopt {

uint64_t plan_arena(std::vector<Lifetime>* lifetimes) {
  std::vector<Lifetime>& all = *lifetimes;
  uint64_t sum = 0;
  for (Lifetime& one : all) {
    one.bytes = (one.bytes + GK_ALIGNMENT - 1) / GK_ALIGNMENT * GK_ALIGNMENT;
    if (__builtin_add_overflow(sum, one.bytes, &sum) || sum > uint64_t{1} << 62) {
      throw Failure(GK_SYSTEM_ERROR, "the plan needs more memory than there can be");
    }
  }
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return all[a].bytes > all[b].bytes; });
  std::vector<size_t> placed; // by offset
  uint64_t total = 0;
  for (const size_t which : order) {
    Lifetime& one = all[which];
    uint64_t end = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
    for (const size_t other : placed) {
      const Lifetime& there = all[other];
      if (there.last < one.first || there.first > one.last) continue;
      if (there.offset > end && there.offset - end >= one.bytes && there.offset - end < best_gap) {
        best = end;
        best_gap = there.offset - end;
      }
      end = std::max(end, there.offset + there.bytes);
    }
    one.offset = best == UINT64_MAX ? end : best;
    total = std::max(total, one.offset + one.bytes);
    const auto after = [&](uint64_t offset, size_t other) { return offset < all[other].offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), one.offset, after), which);
  }
  return total;
}

}  // namespace graphopt
