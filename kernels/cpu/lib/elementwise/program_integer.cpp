// Integer instructions: wrapping arithmetic, truncating division, x / 0 = 0.
#include "cpu/lib/elementwise/program_scalar.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

template <class T>
constexpr bool kSigned = static_cast<T>(-1) < static_cast<T>(0);

// Narrow types are promoted to int and cut off again; wide ones must not overflow as signed.
template <class T>
inline T divide(T a, T b) {
  if constexpr (sizeof(T) < 4 || (sizeof(T) == 4 && kSigned<T>)) {
    // In double, which is exact here and has vectors. -1 apart: only its quotient may not fit.
    const bool simple = b != 0 && b != static_cast<T>(-1);
    const double exact = static_cast<double>(a) / static_cast<double>(simple ? b : T{1});
    const T quotient = static_cast<T>(static_cast<int32_t>(exact));
    const T by_most = kSigned<T> ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a)) : static_cast<T>(a == b);
    const T otherwise = b == 0 ? T{0} : by_most;
    return simple ? quotient : otherwise;
  }
  if (b == 0) return 0;
  if (kSigned<T> && b == static_cast<T>(-1)) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a));
  return static_cast<T>(a / b);
}

template <class T>
inline T remainder(T a, T b) {
  if constexpr (sizeof(T) < 4 || (sizeof(T) == 4 && kSigned<T>)) {
    const uint64_t whole = static_cast<uint64_t>(divide(a, b)) * static_cast<uint64_t>(b);
    return b == 0 ? T{0} : static_cast<T>(static_cast<uint64_t>(a) - whole);
  }
  if (b == 0 || (kSigned<T> && b == static_cast<T>(-1))) return 0;
  return static_cast<T>(a % b);
}

template <class T>
inline T floor_mod(T a, T b) {
  const T rest = remainder(a, b);
  return (rest != 0) & ((rest < 0) != (b < 0)) ? static_cast<T>(rest + b) : rest;
}

// a^b modulo 2^bits; a negative exponent gives the whole part of the fraction.
template <class T>
T power(T a, T b) {
  if (b < 0) return a == 1 ? T{1} : a == static_cast<T>(-1) ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T{0};
  uint64_t result = 1, factor = static_cast<uint64_t>(a);
  for (uint64_t left = static_cast<uint64_t>(b); left != 0; left >>= 1, factor *= factor) {
    if ((left & 1) != 0) result *= factor;
  }
  return static_cast<T>(result);
}

template <class T>
T shift_left(T a, T b) {
  const auto by = static_cast<uint64_t>(b);
  return by < 8 * sizeof(T) ? static_cast<T>(static_cast<uint64_t>(a) << by) : T{0};
}

template <class T>
T shift_right(T a, T b) {
  const auto by = static_cast<uint64_t>(b);
  return by < 8 * sizeof(T) ? static_cast<T>(a >> by) : static_cast<T>(a < 0 ? -1 : 0);
}

GK_SCALAR(Add, 2, a + b)
GK_SCALAR(Sub, 2, a - b)
GK_SCALAR(Mul, 2, static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)))
GK_SCALAR(MulAdd, 3, static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b) + static_cast<uint64_t>(c)))
GK_SCALAR(Neg, 1, T{0} - a)
GK_SCALAR(BitAnd, 2, a & b)
GK_SCALAR(BitOr, 2, a | b)
GK_SCALAR(BitXor, 2, a ^ b)
GK_SCALAR(BitNot, 1, ~a)
GK_SCALAR(ShiftLeft, 2, shift_left(a, b))
GK_SCALAR(ShiftRight, 2, shift_right(a, b))
GK_SCALAR(Div, 2, divide(a, b))
GK_SCALAR(Mod, 2, floor_mod(a, b))
GK_SCALAR(Fmod, 2, remainder(a, b))
GK_SCALAR(Pow, 2, power(a, b))
GK_SCALAR(Min, 2, b < a ? b : a)
GK_SCALAR(Max, 2, b > a ? b : a)
GK_SCALAR(Clip, 3, (a < b ? b : a) > c ? c : (a < b ? b : a))
GK_SCALAR(Prelu, 2, a < 0 ? static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)) : a)
GK_SCALAR(Abs, 1, a < 0 ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a)) : a)
GK_SCALAR(Sign, 1, (a > 0) - (a < 0))
GK_SCALAR(Relu, 1, a < 0 ? T{0} : a)
GK_SCALAR(Identity, 1, a)

// What is the same for signed and unsigned numbers of a size.
template <class U>
BlockFunction modular(int opcode) {
  switch (opcode) {
    case kOp_add: return run_block<U, U, Add>;
    case kOp_sub: return run_block<U, U, Sub>;
    case kOp_mul: return run_block<U, U, Mul>;
    case kOp_mul_add: return run_block<U, U, MulAdd>;
    case kOp_neg: return run_block<U, U, Neg>;
    case kOp_identity: return run_block<U, U, Identity>;
    case kOp_bitwise_and: return run_block<U, U, BitAnd>;
    case kOp_bitwise_or: return run_block<U, U, BitOr>;
    case kOp_bitwise_xor: return run_block<U, U, BitXor>;
    case kOp_bitwise_not: return run_block<U, U, BitNot>;
    case kOp_bit_shift_left: return run_block<U, U, ShiftLeft>;
    default: return nullptr;
  }
}

template <class T, class U>
BlockFunction of_type(int opcode) {
  switch (opcode) {
    case kOp_div: return run_block<T, T, Div>;
    case kOp_mod: return run_block<T, T, Mod>;
    case kOp_fmod: return run_block<T, T, Fmod>;
    case kOp_pow: return run_block<T, T, Pow>;
    case kOp_min: return run_block<T, T, Min>;
    case kOp_max: return run_block<T, T, Max>;
    case kOp_clip: return run_block<T, T, Clip>;
    case kOp_prelu: return run_block<T, T, Prelu>;
    case kOp_abs: return run_block<T, T, Abs>;
    case kOp_sign: return run_block<T, T, Sign>;
    case kOp_relu: return run_block<T, T, Relu>;
    case kOp_bit_shift_right: return run_block<T, T, ShiftRight>;
    default: return modular<U>(opcode);
  }
}

}  // namespace

BlockFunction integer_function(int opcode, int type) {
  switch (type) {
    case kU8: return of_type<uint8_t, uint8_t>(opcode);
    case kI8: return of_type<int8_t, uint8_t>(opcode);
    case kU16: return of_type<uint16_t, uint16_t>(opcode);
    case kI16: return of_type<int16_t, uint16_t>(opcode);
    case kU32: return of_type<uint32_t, uint32_t>(opcode);
    case kI32: return of_type<int32_t, uint32_t>(opcode);
    case kU64: return of_type<uint64_t, uint64_t>(opcode);
    case kI64: return of_type<int64_t, uint64_t>(opcode);
    default: return nullptr;
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
