// Square tiles transposed in registers: N vectors of N elements, log2(N) rounds of interleaving each vector with the
// one N/2 further on. Compilers know these shuffles as unpack, permute and zip instructions.
#pragma once

#include "cpu/lib/bytes.h"

namespace graphopt {
namespace GK_LEVEL {

template <int kBytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> { using Type = uint8_t; };
template <>
struct UnsignedOf<2> { using Type = uint16_t; };
template <>
struct UnsignedOf<4> { using Type = uint32_t; };
template <>
struct UnsignedOf<8> { using Type = uint64_t; };

// N elements of kBytes bytes, in a register and at any address.
template <int kBytes, int N>
struct TileVector {
  using Element = typename UnsignedOf<kBytes>::Type;
  typedef Element Type __attribute__((vector_size(kBytes * N)));
  typedef Element Unaligned __attribute__((vector_size(kBytes * N), aligned(1), may_alias));
};

template <int N>
struct Interleave;

template <>
struct Interleave<2> {
  template <class V>
  static V low(V a, V b) { return __builtin_shufflevector(a, b, 0, 2); }
  template <class V>
  static V high(V a, V b) { return __builtin_shufflevector(a, b, 1, 3); }
};

template <>
struct Interleave<4> {
  template <class V>
  static V low(V a, V b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
  template <class V>
  static V high(V a, V b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
};

template <>
struct Interleave<8> {
  template <class V>
  static V low(V a, V b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
  template <class V>
  static V high(V a, V b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
};

template <>
struct Interleave<16> {
  template <class V>
  static V low(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
  template <class V>
  static V high(V a, V b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
};

// v[j][k] becomes v[k][j].
template <int N, class V>
inline __attribute__((always_inline)) void transpose_registers(V* v) {
#pragma GCC unroll 4
  for (int round = 1; round < N; round *= 2) {
    V next[N];
#pragma GCC unroll 8
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = Interleave<N>::low(v[i], v[i + N / 2]);
      next[2 * i + 1] = Interleave<N>::high(v[i], v[i + N / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) v[i] = next[i];
  }
}

// to[k][j] = from[j][k] for j, k < N: rows of the source are from_stride bytes apart, of the destination to_stride.
template <int kBytes, int N>
inline __attribute__((always_inline)) void transpose_tile(const char* from, int64_t from_stride, char* to,
                                                          int64_t to_stride) {
  if constexpr (kBytes == 16) {  // nothing to shuffle
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        copy_element<kBytes>(to + k * to_stride + j * kBytes, from + j * from_stride + k * kBytes);
      }
    }
  } else {
    using Tile = TileVector<kBytes, N>;
    typename Tile::Type v[N];
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) v[j] = *reinterpret_cast<const typename Tile::Unaligned*>(from + j * from_stride);
    transpose_registers<N>(v);
#pragma GCC unroll 16
    for (int k = 0; k < N; ++k) *reinterpret_cast<typename Tile::Unaligned*>(to + k * to_stride) = v[k];
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
