// Vectors of the level being compiled, in the compiler's own vector extensions.
//
// This header and everything else included by a per-level source must not include a C++ standard
// header: an inline function of one, compiled with AVX flags, could be the copy the linker keeps for
// the whole program and crash on a baseline CPU. Plain C headers and intrinsics are fine.
#pragma once

#include <stdint.h>

#include "graphopt/graphopt.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace graphopt {
namespace GK_LEVEL {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kVectorRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kVectorRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kVectorRegisters = 32;
#else
constexpr int kVectorBytes = 16, kVectorRegisters = 16;
#endif

typedef float VecF32 __attribute__((vector_size(kVectorBytes)));
typedef double VecF64 __attribute__((vector_size(kVectorBytes)));
typedef int32_t VecI32 __attribute__((vector_size(kVectorBytes)));
typedef uint64_t VecU64 __attribute__((vector_size(kVectorBytes)));
// The same for loads and stores at any address.
typedef uint64_t VecU64Unaligned __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));

template <class Vec>
constexpr int lanes_of(Vec v) {
  return static_cast<int>(sizeof(Vec) / sizeof(v[0]));
}

// Makes the compiler believe the vector was changed: what feeds it must be computed, what follows
// may not be merged with what came before. No instruction is emitted.
template <class Vec>
inline __attribute__((always_inline)) void opaque(Vec& v) {
#if defined(__x86_64__)
  __asm__ volatile("" : "+v"(v));
#elif defined(__aarch64__)
  __asm__ volatile("" : "+w"(v));
#else
  __asm__ volatile("" : "+m"(v));
#endif
}

// Memory may have changed: nothing read before may be reused after.
inline __attribute__((always_inline)) void memory_fence_for_compiler() { __asm__ volatile("" ::: "memory"); }

}  // namespace GK_LEVEL
}  // namespace graphopt
