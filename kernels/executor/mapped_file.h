// A file's bytes, read by the system as they are used.
#pragma once

#include <cstddef>
#include <utility>

namespace graphopt {

class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const char* path); // throws Failure with the system's reason
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  const char* data() const { return data_; } // null where the file is empty
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace graphopt
