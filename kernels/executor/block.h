// Memory of the executor: aligned, owned, and refused with an error instead of a crash.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace graphopt {

// `size` bytes on a multiple of GK_ALIGNMENT, contents undefined. Large blocks ask for huge pages.
class Block {
 public:
  Block() = default;
  explicit Block(size_t size); // throws Failure where the system has no memory
  Block(Block&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Block();

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
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
  Piece cut(size_t size); // throws Failure where the system has no memory

 private:
  std::shared_ptr<const Block> block_;
  size_t used_ = 0;
};

// Gives the whole pages inside [data, data + size) of a file mapping back: the next read maps them again.
void release_mapped_pages(const void* data, size_t size);

}  // namespace graphopt
