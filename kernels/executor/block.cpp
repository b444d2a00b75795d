#include "executor/block.h"

#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

#include "executor/failure.h"

namespace graphopt {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCutFrom = size_t{16} << 20; // pages nobody touches cost nothing

size_t round_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

}  // namespace

Block::Block(size_t size) : size_(size) {
  const bool huge = size >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : GK_ALIGNMENT;
  const size_t rounded = round_up(size == 0 ? 1 : size, GK_ALIGNMENT);
  if (rounded < size || (data_ = static_cast<char*>(std::aligned_alloc(alignment, rounded))) == nullptr) {
    throw Failure(GK_SYSTEM_ERROR, "the operating system refused " + std::to_string(size) + " bytes of memory");
  }
#ifdef MADV_HUGEPAGE
  if (huge) madvise(data_, size / kHugePage * kHugePage, MADV_HUGEPAGE); // advice: a refusal changes nothing
#endif
}

Block::~Block() { std::free(data_); }

Piece Cutter::cut(size_t size) {
  const size_t rounded = round_up(size == 0 ? 1 : size, GK_ALIGNMENT);
  if (rounded >= kCutFrom / 2) {
    auto own = std::make_shared<const Block>(size);
    char* data = own->data();
    return Piece(std::move(own), data, size);
  }
  if (block_ == nullptr || used_ + rounded > block_->size()) {
    block_ = std::make_shared<const Block>(kCutFrom);
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
