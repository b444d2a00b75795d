#include "executor/block.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "executor/failure.h"

namespace graphopt {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCutFrom = size_t{16} << 20; // pages nobody touches cost nothing

size_t round_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

// Null where there is none.
void* from_c_library(size_t size) {
  const bool huge = size >= 2 * kHugePage;
  const size_t rounded = round_up(size, GK_ALIGNMENT);
  void* data = rounded < size ? nullptr : std::aligned_alloc(huge ? kHugePage : GK_ALIGNMENT, rounded);
#ifdef MADV_HUGEPAGE
  // Advice: a refusal changes nothing.
  if (huge && data != nullptr) madvise(data, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

void* allocate_aligned(size_t size, const gk_allocator* from) {
  void* data = from == nullptr ? from_c_library(size) : from->allocate(from->context, size, GK_ALIGNMENT);
  if (data == nullptr) {
    const char* who = from == nullptr ? "the operating system" : "the allocator";
    throw Failure(GK_SYSTEM_ERROR, std::string(who) + " refused " + std::to_string(size) + " bytes of memory");
  }
  if (reinterpret_cast<uintptr_t>(data) % GK_ALIGNMENT != 0) {
    release_aligned(data, size, from);
    throw Failure(GK_SYSTEM_ERROR, "the allocator gave memory at an odd address");
  }
  return data;
}

void release_aligned(void* data, size_t size, const gk_allocator* from) {
  if (from == nullptr) {
    std::free(data);
  } else {
    from->release(from->context, data, size);
  }
}

Block::Block(size_t size, const gk_allocator* from)
    : data_(static_cast<char*>(allocate_aligned(size == 0 ? 1 : size, from))), size_(size), from_(from) {}

Block::~Block() {
  if (data_ != nullptr) release_aligned(data_, size_ == 0 ? 1 : size_, from_);
}

Piece Cutter::cut(size_t size) {
  const size_t rounded = round_up(size == 0 ? 1 : size, GK_ALIGNMENT);
  if (rounded >= kCutFrom / 2) {
    auto own = std::make_shared<const Block>(size, from_);
    char* data = own->data();
    return Piece(std::move(own), data, size);
  }
  if (block_ == nullptr || used_ + rounded > block_->size()) {
    block_ = std::make_shared<const Block>(kCutFrom, from_);
    used_ = 0;
  }
  char* data = block_->data() + used_;
  used_ += rounded;
  return Piece(block_, data, size);
}

void release_mapped_pages(const void* data, size_t size) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + size) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace graphopt
