// Offsets in the arena: nothing overlaps in time and memory, and little is wasted.
#include "executor/arena.h"

#include <algorithm>
#include <random>

#include "check.h"
#include "executor/failure.h"

using graphopt::Lifetime;
using graphopt::plan_arena;

namespace {

bool disjoint(const Lifetime& a, const Lifetime& b) {
  return a.last < b.first || b.last < a.first || a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
}

void random_lifetimes_do_not_overlap() {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> all(random() % 40);
    uint64_t busiest = 0;
    for (Lifetime& one : all) {
      one.bytes = random() % 3000;
      one.first = static_cast<int>(random() % 30);
      one.last = one.first + static_cast<int>(random() % 6);
    }
    const uint64_t total = plan_arena(&all);
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK(all[i].offset % GK_ALIGNMENT == 0 && all[i].offset + all[i].bytes <= total);
      for (size_t j = 0; j < i; ++j) CHECK(disjoint(all[i], all[j]));
    }
    for (int at = 0; at < 40; ++at) {
      uint64_t live = 0;
      for (const Lifetime& one : all) live += one.first <= at && at <= one.last ? one.bytes : 0;
      busiest = std::max(busiest, live);
    }
    CHECK_WITH(total >= busiest && total <= busiest + busiest / 2 + 4096, std::to_string(total));
  }
}

void a_chain_takes_two_buffers() {
  std::vector<Lifetime> chain;
  for (int i = 0; i < 20; ++i) chain.push_back({1000, i, i + 1, 0});
  CHECK(plan_arena(&chain) == 2 * 1024);
}

void too_much_is_refused() {
  std::vector<Lifetime> huge(5, {uint64_t{1} << 60, 0, 1, 0});
  bool refused = false;
  try {
    plan_arena(&huge);
  } catch (const graphopt::Failure& failure) {
    refused = failure.status == GK_SYSTEM_ERROR;
  }
  CHECK(refused);
}

}  // namespace

void test_arena() {
  random_lifetimes_do_not_overlap();
  a_chain_takes_two_buffers();
  too_much_is_refused();
}
