// The reductions of the scatter operators for every dtype.
#include "cpu/lib/move/scatter_apply.h"

#include "cpu/lib/bytes.h"
#include "cpu/lib/math/half.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

// How elements of a dtype are computed with: integers wrap around, so as unsigned ones; halves as float32.
template <class T>
struct Number {
  static T widen(T value) { return value; }
  static T narrow(T value) { return value; }
};

// float16 and bfloat16 by their bits.
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

template <>
struct Number<Half> {
  static float widen(Half value) { return float_from_f16(value.bits); }
  static Half narrow(float value) { return {f16_from_float(value)}; }
};

template <>
struct Number<BFloat> {
  static float widen(BFloat value) { return float_from_bf16(value.bits); }
  static BFloat narrow(float value) { return {bf16_from_float(value)}; }
};

template <class T>
constexpr bool is_whole = static_cast<T>(0.5) == 0;

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (is_whole<T>) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else return a + b;
  }
};
struct Mul {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (is_whole<T>) return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else return a * b;
  }
};
struct Max {
  template <class T>
  T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};
struct Min {
  template <class T>
  T operator()(T a, T b) const { return a < b || a != a ? a : b; }
};

template <class T, class F>
void apply(char* y, const char* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    T a, b;
    __builtin_memcpy(&a, y + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    __builtin_memcpy(&b, x + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    const T c = Number<T>::narrow(F()(Number<T>::widen(a), Number<T>::widen(b)));
    __builtin_memcpy(y + i * static_cast<int64_t>(sizeof(T)), &c, sizeof(T));
  }
}

template <int kBytes>
void put(char* y, const char* x, int64_t count) {
  if (count == 1) return copy_element<kBytes>(y, x);
  copy_bytes(y, x, count * kBytes);
}

template <class T>
ScatterApply pick(const char* reduction) {
  if (same_text(reduction, "add")) return apply<T, Add>;
  if (same_text(reduction, "mul")) return apply<T, Mul>;
  if (same_text(reduction, "max")) return apply<T, Max>;
  if (same_text(reduction, "min")) return apply<T, Min>;
  return nullptr;
}

}  // namespace

ScatterApply scatter_apply(gk_dtype dtype, const char* reduction) {
  if (same_text(reduction, "none")) {
    switch (dtype.bits) {
      case 8: return put<1>;
      case 16: return put<2>;
      case 32: return put<4>;
      case 64: return put<8>;
      case 128: return put<16>;
      default: return nullptr;
    }
  }
  const bool is_unsigned = dtype.code == GK_UINT;
  switch (dtype.code) {
    case GK_FLOAT:
      return dtype.bits == 32   ? pick<float>(reduction)
             : dtype.bits == 64 ? pick<double>(reduction)
             : dtype.bits == 16 ? pick<Half>(reduction)
                                : nullptr;
    case GK_BFLOAT: return dtype.bits == 16 ? pick<BFloat>(reduction) : nullptr;
    case GK_BOOL:
      if (dtype.bits != 8) return nullptr;
      // Sums of zeros and ones that stay such are their maximum, products their minimum.
      return same_text(reduction, "add")   ? apply<uint8_t, Max>
             : same_text(reduction, "mul") ? apply<uint8_t, Min>
                                           : pick<uint8_t>(reduction);
    case GK_INT:
    case GK_UINT:
      switch (dtype.bits) {
        case 8: return is_unsigned ? pick<uint8_t>(reduction) : pick<int8_t>(reduction);
        case 16: return is_unsigned ? pick<uint16_t>(reduction) : pick<int16_t>(reduction);
        case 32: return is_unsigned ? pick<uint32_t>(reduction) : pick<int32_t>(reduction);
        case 64: return is_unsigned ? pick<uint64_t>(reduction) : pick<int64_t>(reduction);
        default: return nullptr;
      }
    default: return nullptr;
  }
}

}  // namespace GK_LEVEL
}  // namespace graphopt
