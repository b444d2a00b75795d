// Memory of the executor: aligned, owned, and refused with an error instead of a crash.
#pragma once

#include <cstddef>
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

// Gives the whole pages inside [data, data + size) of a file mapping back: the next read maps them again.
void release_mapped_pages(const void* data, size_t size);

}  // namespace graphopt
