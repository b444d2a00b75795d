// Runs of bytes and of equal elements, without a call into the C library: most are a few vectors long.
#pragma once

#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

// kBytes bytes at any address. A struct around the type, because template arguments lose their alignment.
template <int kBytes>
struct BytesOf {
  typedef uint64_t Type __attribute__((vector_size(kBytes), aligned(1), may_alias));
};
template <>
struct BytesOf<1> {
  typedef uint8_t Type __attribute__((may_alias));
};
template <>
struct BytesOf<2> {
  typedef uint16_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct BytesOf<4> {
  typedef uint32_t Type __attribute__((aligned(1), may_alias));
};
template <>
struct BytesOf<8> {
  typedef uint64_t Type __attribute__((aligned(1), may_alias));
};

template <int kBytes>
inline __attribute__((always_inline)) void copy_element(char* to, const char* from) {
  using Type = typename BytesOf<kBytes>::Type;
  *reinterpret_cast<Type*>(to) = *reinterpret_cast<const Type*>(from);
}

// `size` bytes, between kBytes and 2·kBytes, from both ends.
template <int kBytes>
inline __attribute__((always_inline)) void copy_both_ends(char* to, const char* from, int64_t size) {
  using Type = typename BytesOf<kBytes>::Type;
  const Type first = *reinterpret_cast<const Type*>(from);
  const Type last = *reinterpret_cast<const Type*>(from + size - kBytes);
  *reinterpret_cast<Type*>(to) = first;
  *reinterpret_cast<Type*>(to + size - kBytes) = last;
}

// to[i] = from[i]; the two do not overlap.
inline void copy_bytes(char* to, const char* from, int64_t size) {
  if (size >= 2 * kVectorBytes) {
    // Beyond this the C library's choice for the machine is at least as good.
    if (size >= 4096) {
      __builtin_memcpy(to, from, static_cast<size_t>(size));
      return;
    }
    int64_t i = 0;
    for (; i + 2 * kVectorBytes <= size; i += 2 * kVectorBytes) {
      const VecU64 a = *reinterpret_cast<const VecU64Unaligned*>(from + i);
      const VecU64 b = *reinterpret_cast<const VecU64Unaligned*>(from + i + kVectorBytes);
      *reinterpret_cast<VecU64Unaligned*>(to + i) = a;
      *reinterpret_cast<VecU64Unaligned*>(to + i + kVectorBytes) = b;
    }
    // What is left, together with some that is already there.
    const int64_t end = size - 2 * kVectorBytes;
    copy_both_ends<kVectorBytes>(to + end, from + end, 2 * kVectorBytes);
  } else if (size >= 16) {
    int64_t i = 0;
    for (; i + 32 < size; i += 16) copy_element<16>(to + i, from + i);
    copy_both_ends<16>(to + i, from + i, size - i);
  } else if (size >= 8) {
    copy_both_ends<8>(to, from, size);
  } else if (size >= 4) {
    copy_both_ends<4>(to, from, size);
  } else if (size >= 2) {
    copy_both_ends<2>(to, from, size);
  } else if (size == 1) {
    *to = *from;
  }
}

// `count` times the element of kBytes (1, 2, 4, 8 or 16) at `element`.
template <int kBytes>
inline void fill_elements(char* to, const char* element, int64_t count) {
  using Pattern = BytesOf<16>::Type;
  Pattern pattern;
  char* bytes = reinterpret_cast<char*>(&pattern);
  for (int i = 0; i < 16; ++i) bytes[i] = element[i % kBytes];
  const int64_t size = count * kBytes;
  if (size >= 16) {
    for (int64_t i = 0; i + 16 <= size; i += 16) *reinterpret_cast<Pattern*>(to + i) = pattern;
    *reinterpret_cast<Pattern*>(to + size - 16) = pattern; // both are whole elements
  } else {
    for (int64_t i = 0; i < size; ++i) to[i] = bytes[i % kBytes];
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
