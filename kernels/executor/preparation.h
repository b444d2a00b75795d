// Asks every kernel of a schedule what it needs and packs its constants, each once for the whole plan.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "executor/schedule.h"

namespace graphopt {

// The packed constants of a plan.
class PackStore {
 public:
  explicit PackStore(const gk_allocator* allocator) : cutter_(allocator) {}
  uint64_t bytes() const;

 private:
  friend class Preparation;
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const Piece>> packs_;
  Cutter cutter_;
};

struct PreparationOptions {
  int threads = 1;
  bool release_weights = false; // constants lie in a file mapping: pages that are packed may go
  std::function<void(uint64_t bytes)> check_limit; // throws where so much may not be packed
};

// Throws Failure.
void prepare(const PlanData& plan, const PreparationOptions& options, PackStore* packs, Schedule* schedule);

}  // namespace graphopt
