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

// 16 bytes of equal elements.
typedef uint64_t FillPattern __attribute__((vector_size(16)));

// The pattern of an element of 1, 2, 4, 8 or 16 bytes.
inline FillPattern fill_pattern(const char* element, int64_t bytes) {
  uint64_t part;
  switch (bytes) {
    case 1: part = *reinterpret_cast<const BytesOf<1>::Type*>(element) * 0x0101010101010101u; break;
    case 2: part = *reinterpret_cast<const BytesOf<2>::Type*>(element) * 0x0001000100010001u; break;
    case 4: part = *reinterpret_cast<const BytesOf<4>::Type*>(element) * 0x0000000100000001u; break;
    case 8: part = *reinterpret_cast<const BytesOf<8>::Type*>(element); break;
    default: return *reinterpret_cast<const BytesOf<16>::Type*>(element);
  }
  return FillPattern{part, part};
}

// `size` bytes of whole elements.
inline void fill_bytes(char* to, const FillPattern& pattern, int64_t size) {
  using Bytes16 = BytesOf<16>::Type;
  if (size >= 16) {
    for (int64_t i = 0; i + 16 <= size; i += 16) *reinterpret_cast<Bytes16*>(to + i) = pattern;
    *reinterpret_cast<Bytes16*>(to + size - 16) = pattern;  // both begin with a whole element
    return;
  }
  // Elements are powers of two: whatever part begins where one does.
  const uint64_t part = pattern[0];
  if ((size & 8) != 0) {
    *reinterpret_cast<BytesOf<8>::Type*>(to) = part;
    to += 8;
  }
  if ((size & 4) != 0) {
    *reinterpret_cast<BytesOf<4>::Type*>(to) = static_cast<uint32_t>(part);
    to += 4;
  }
  if ((size & 2) != 0) {
    *reinterpret_cast<BytesOf<2>::Type*>(to) = static_cast<uint16_t>(part);
    to += 2;
  }
  if ((size & 1) != 0) *to = static_cast<char>(part);
}

// `count` times the element of kBytes at `element`.
template <int kBytes>
inline void fill_elements(char* to, const char* element, int64_t count) {
  fill_bytes(to, fill_pattern(element, kBytes), count * kBytes);
}

// `rows` runs of `size` bytes.
inline void copy_rows(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t rows, int64_t size) {
  switch (size) {
    case 4:
      for (int64_t i = 0; i < rows; ++i) copy_element<4>(to + i * to_stride, from + i * from_stride);
      return;
    case 8:
      for (int64_t i = 0; i < rows; ++i) copy_element<8>(to + i * to_stride, from + i * from_stride);
      return;
    default:
      for (int64_t i = 0; i < rows; ++i) copy_bytes(to + i * to_stride, from + i * from_stride, size);
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
