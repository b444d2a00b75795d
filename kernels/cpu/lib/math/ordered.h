// Elements of any dtype in order: a NaN is above all numbers, as in numpy.
#pragma once

#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/math/half.h"

namespace graphopt {
namespace GK_LEVEL {

struct OrderedF16 {
  uint16_t bits;
};
struct OrderedBf16 {
  uint16_t bits;
};

template <class T>
inline T comparable(T value) {
  return value;
}
inline float comparable(OrderedF16 value) { return float_from_f16(value.bits); }
inline float comparable(OrderedBf16 value) { return float_from_bf16(value.bits); }

template <class T>
inline bool is_above(T a, T b) {
  const auto x = comparable(a), y = comparable(b);
  return x > y || (x != x && y == y);
}

// f.template operator()<T>() for the C type of a dtype, or GK_UNSUPPORTED.
template <class F>
inline int for_ordered_type(const gk_dtype& dtype, F f) {
  switch (program::type_of(dtype)) {
    case program::kF32: return f.template operator()<float>();
    case program::kF64: return f.template operator()<double>();
    case program::kF16: return f.template operator()<OrderedF16>();
    case program::kBF16: return f.template operator()<OrderedBf16>();
    case program::kBool:
    case program::kU8: return f.template operator()<uint8_t>();
    case program::kI8: return f.template operator()<int8_t>();
    case program::kU16: return f.template operator()<uint16_t>();
    case program::kI16: return f.template operator()<int16_t>();
    case program::kU32: return f.template operator()<uint32_t>();
    case program::kI32: return f.template operator()<int32_t>();
    case program::kU64: return f.template operator()<uint64_t>();
    case program::kI64: return f.template operator()<int64_t>();
    default: return GK_UNSUPPORTED;
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
