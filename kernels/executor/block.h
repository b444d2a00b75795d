// Memory of the executor: aligned, owned, and refused with an error instead of a crash.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "graphopt/graphopt.h"

namespace graphopt {

// `size` bytes (at least 1) on a multiple of GK_ALIGNMENT from the caller's functions, or, where `from` is null, from
// the C library. Throws Failure where there is no memory.
void* allocate_aligned(size_t size, const gk_allocator* from);
void release_aligned(void* data, size_t size, const gk_allocator* from);

// `size` bytes, contents undefined. Large blocks of the C library's ask for huge pages.
class Block {
 public:
  Block() = default;
  Block(size_t size, const gk_allocator* from); // throws Failure where there is no memory; `from` outlives this
  Block(Block&& other) noexcept { *this = std::move(other); }
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(from_, other.from_);
    return *this;
  }
  ~Block();

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  const gk_allocator* from_ = nullptr;
};

// Part of a block, which lives as long as any part of it.
class Piece {
 public:
  Piece(std::shared_ptr<const Block> block, char* data, size_t size) : block_(std::move(block)), data_(data), size_(size) {}

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::shared_ptr<const Block> block_;
  char* data_;
  size_t size_;
};

// Cuts pieces out of large blocks: side by side on huge pages, the weights of many small layers cost few
// misses of the TLB. Not for several threads at once.
class Cutter {
 public:
  explicit Cutter(const gk_allocator* from) : from_(from) {}
  Piece cut(size_t size); // throws Failure where there is no memory

 private:
  const gk_allocator* from_;
  std::shared_ptr<const Block> block_;
  size_t used_ = 0;
};

// Gives the whole pages inside [data, data + size) of a file mapping back: the next read maps them again.
void release_mapped_pages(const void* data, size_t size);

}  // namespace graphopt
