// Conversions between all types: floats to integers truncate and, where they do not fit, wrap or saturate as the
// machine's conversion to 64 bits does; to bool is x != 0; to float16 and bfloat16 rounds to nearest even.
#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/math/half.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
struct Bool {
  uint8_t value;
};

template <class A, class B>
constexpr bool kSame = false;
template <class A>
constexpr bool kSame<A, A> = true;
template <class T>
constexpr bool kFloating = kSame<T, float> || kSame<T, double>;

// Undefined in C past the range; here the ends of int64, NaN becoming the lower one.
template <class F>
int64_t to_int64(F value) {
  return value < F(9223372036854775808.0) ? (value >= F(-9223372036854775808.0) ? static_cast<int64_t>(value) : INT64_MIN)
                                          : (value == value ? INT64_MAX : INT64_MIN);
}

// The same for int32, in a form that vectorises.
inline __attribute__((always_inline)) int32_t to_int32(float value) {
  const float above = value > -2147483648.0f ? value : -2147483648.0f;
  return static_cast<int32_t>(above < 2147483520.0f ? above : 2147483520.0f);
}

template <class To, class From>
inline __attribute__((always_inline)) To convert(From value) {
  if constexpr (kSame<From, Half>) {
    return convert<To>(float_from_f16(value.bits));
  } else if constexpr (kSame<From, Brain>) {
    return convert<To>(float_from_bf16(value.bits));
  } else if constexpr (kSame<From, Bool>) {
    return convert<To>(static_cast<int32_t>(value.value != 0));
  } else if constexpr (kSame<To, Bool>) {
    return {static_cast<uint8_t>(value != From(0))};
  } else if constexpr (kSame<To, Half>) {
    if constexpr (kSame<From, float>) return {f16_from_float(value)};
    return {f16_from_float(float_for_half(static_cast<double>(value)))};
  } else if constexpr (kSame<To, Brain>) {
    if constexpr (kSame<From, float>) return {bf16_from_float(value)};
    return {bf16_from_float(float_for_half(static_cast<double>(value)))};
  } else if constexpr (kFloating<From> && !kFloating<To>) {
    if constexpr (kSame<To, uint64_t>) {
      if (value >= From(9223372036854775808.0)) {
        return value < From(18446744073709551616.0)
                   ? static_cast<uint64_t>(to_int64(value - From(9223372036854775808.0))) + (uint64_t{1} << 63)
                   : ~uint64_t{0};
      }
    }
    if constexpr (kSame<From, float> && sizeof(To) <= 4 && !kSame<To, uint32_t>) return static_cast<To>(to_int32(value));
    return static_cast<To>(to_int64(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To>
void run_cast(const Block& block) {
  const From* from = static_cast<const From*>(block.in[0]);
  To* to = static_cast<To*>(block.dst);
  const int64_t n = block.n;  // a copy: what is written could be the block itself, for all the compiler knows
  int64_t i = 0;
#if defined(__F16C__)
  if constexpr (kSame<From, float> && kSame<To, Half>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(reinterpret_cast<const float*>(from) + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), halves);
    }
  }
  if constexpr (kSame<From, Half> && kSame<To, float>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_storeu_ps(reinterpret_cast<float*>(to) + i, _mm256_cvtph_ps(halves));
    }
  }
#endif
  // Where both are the same memory the sizes are equal: no element is read after it was written.
#pragma GCC ivdep
  for (; i < n; ++i) to[i] = convert<To>(from[i]);
}

template <class From>
BlockFunction cast_from(int to) {
  switch (to) {
    case kF32: return run_cast<From, float>;
    case kF64: return run_cast<From, double>;
    case kF16: return run_cast<From, Half>;
    case kBF16: return run_cast<From, Brain>;
    case kBool: return run_cast<From, Bool>;
    case kU8: return run_cast<From, uint8_t>;
    case kI8: return run_cast<From, int8_t>;
    case kU16: return run_cast<From, uint16_t>;
    case kI16: return run_cast<From, int16_t>;
    case kU32: return run_cast<From, uint32_t>;
    case kI32: return run_cast<From, int32_t>;
    case kU64: return run_cast<From, uint64_t>;
    case kI64: return run_cast<From, int64_t>;
    default: return nullptr;
  }
}

template <class To>
void fill(void* dst, double value, int64_t n) {
  const To converted = convert<To>(value);
  for (int64_t i = 0; i < n; ++i) static_cast<To*>(dst)[i] = converted;
}

}  // namespace

BlockFunction cast_function(int from, int to) {
  switch (from) {
    case kF32: return cast_from<float>(to);
    case kF64: return cast_from<double>(to);
    case kF16: return cast_from<Half>(to);
    case kBF16: return cast_from<Brain>(to);
    case kBool: return cast_from<Bool>(to);
    case kU8: return cast_from<uint8_t>(to);
    case kI8: return cast_from<int8_t>(to);
    case kU16: return cast_from<uint16_t>(to);
    case kI16: return cast_from<int16_t>(to);
    case kU32: return cast_from<uint32_t>(to);
    case kI32: return cast_from<int32_t>(to);
    case kU64: return cast_from<uint64_t>(to);
    case kI64: return cast_from<int64_t>(to);
    default: return nullptr;
  }
}

void fill_block(void* dst, int type, double value, int64_t n) {
  switch (type) {
    case kF32: return fill<float>(dst, value, n);
    case kF64: return fill<double>(dst, value, n);
    case kF16: return fill<Half>(dst, value, n);
    case kBF16: return fill<Brain>(dst, value, n);
    case kBool: return fill<Bool>(dst, value, n);
    case kU8: return fill<uint8_t>(dst, value, n);
    case kI8: return fill<int8_t>(dst, value, n);
    case kU16: return fill<uint16_t>(dst, value, n);
    case kI16: return fill<int16_t>(dst, value, n);
    case kU32: return fill<uint32_t>(dst, value, n);
    case kI32: return fill<int32_t>(dst, value, n);
    case kU64: return fill<uint64_t>(dst, value, n);
    case kI64: return fill<int64_t>(dst, value, n);
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
