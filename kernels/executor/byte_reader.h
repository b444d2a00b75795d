// Little-endian numbers, strings and arrays out of untrusted bytes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "executor/failure.h"
#include "executor/utf8.h"

namespace graphopt {

class ByteReader {
 public:
  ByteReader(const char* data, size_t size) : data_(data), size_(size) {}

  size_t at() const { return at_; }
  size_t left() const { return size_ - at_; }
  std::string_view since(size_t begin) const { return {data_ + begin, at_ - begin}; }

  const char* bytes(uint64_t count) {
    if (count > left()) refuse("the plan is damaged: it ends at byte " + std::to_string(size_) + ", inside a field");
    const char* found = data_ + at_;
    at_ += count;
    return found;
  }

  template <class T>
  T number() {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, bytes(sizeof(T)), sizeof(T));
    return value;
  }

  // The length of an array whose elements take at least `element` bytes each.
  uint32_t count(size_t element) {
    const uint32_t length = number<uint32_t>();
    if (length > left() / element) {
      refuse("the plan is damaged: at byte " + std::to_string(at_) + " an array is longer than the rest of the file");
    }
    return length;
  }

  std::string_view text() {
    const uint32_t length = count(1);
    return {bytes(length), length};
  }

  // UTF-8 without zero bytes, as names in C and Python are.
  std::string name() {
    const std::string_view found = text();
    if (found.find('\0') != found.npos) refuse("the plan is damaged: a name has a zero byte");
    if (!is_utf8(found)) refuse("the plan is damaged: a name is not UTF-8");
    return std::string(found);
  }

 private:
  const char* data_;
  size_t size_, at_ = 0;
};

}  // namespace graphopt
