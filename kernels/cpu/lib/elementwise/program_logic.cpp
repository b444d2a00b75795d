// Comparisons, logic on bool, where, and identity of what has no arithmetic.
#include "cpu/lib/elementwise/program_scalar.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace program {
namespace {

GK_SCALAR(Equal, 2, a == b)
GK_SCALAR(NotEqual, 2, a != b)
GK_SCALAR(Less, 2, a < b)
GK_SCALAR(LessOrEqual, 2, a <= b)
GK_SCALAR(Greater, 2, a > b)
GK_SCALAR(GreaterOrEqual, 2, a >= b)
GK_SCALAR(IsNan, 1, a != a)
GK_SCALAR(IsInf, 1, a == T(__builtin_inf()) || a == T(-__builtin_inf()))
GK_SCALAR(IsInfNegative, 1, a == T(-__builtin_inf()))
GK_SCALAR(IsInfPositive, 1, a == T(__builtin_inf()))
GK_SCALAR(And, 2, static_cast<uint8_t>((a != 0) & (b != 0)))
GK_SCALAR(Or, 2, static_cast<uint8_t>((a != 0) | (b != 0)))
GK_SCALAR(Xor, 2, static_cast<uint8_t>((a != 0) ^ (b != 0)))
GK_SCALAR(Not, 1, static_cast<uint8_t>(a == 0))
GK_SCALAR(Identity, 1, a)
GK_SCALAR(Min, 2, b < a ? b : a)
GK_SCALAR(Max, 2, b > a ? b : a)

template <class T>
BlockFunction compare(int opcode) {
  switch (opcode) {
    case kOp_equal: return run_block<T, uint8_t, Equal>;
    case kOp_not_equal: return run_block<T, uint8_t, NotEqual>;
    case kOp_less: return run_block<T, uint8_t, Less>;
    case kOp_less_or_equal: return run_block<T, uint8_t, LessOrEqual>;
    case kOp_greater: return run_block<T, uint8_t, Greater>;
    case kOp_greater_or_equal: return run_block<T, uint8_t, GreaterOrEqual>;
    default: return nullptr;
  }
}

template <class T>
BlockFunction compare_float(int opcode) {
  switch (opcode) {
    case kOp_is_nan: return run_block<T, uint8_t, IsNan>;
    case kOp_is_inf: return run_block<T, uint8_t, IsInf>;
    case kOp_is_inf_negative: return run_block<T, uint8_t, IsInfNegative>;
    case kOp_is_inf_positive: return run_block<T, uint8_t, IsInfPositive>;
    default: return compare<T>(opcode);
  }
}

typedef uint8_t BoolLanes __attribute__((vector_size(vmath::kLanes), aligned(1), may_alias));
typedef uint8_t ByteLanes __attribute__((vector_size(vmath::kLanes)));

// float32, a vector at a time: the compiler does not find the way from masks to bytes.
template <class F>
void compare_rows(const Block& block) {
  const float* a = static_cast<const float*>(block.in[0]);
  const float* b = static_cast<const float*>(block.in[1]);
  uint8_t* dst = static_cast<uint8_t*>(block.dst);
  const int64_t n = block.n;
  int64_t i = 0;
  for (; i + vmath::kLanes <= n; i += vmath::kLanes) {
    const VecI32 mask = F::of(vmath::load(a + i), vmath::load(b + i), VecF32{});
    *reinterpret_cast<BoolLanes*>(dst + i) = __builtin_convertvector(mask & 1, ByteLanes);
  }
  for (; i < n; ++i) dst[i] = F::of(a[i], b[i], 0.0f) ? 1 : 0;
}

BlockFunction compare_f32(int opcode) {
  switch (opcode) {
    case kOp_equal: return compare_rows<Equal>;
    case kOp_not_equal: return compare_rows<NotEqual>;
    case kOp_less: return compare_rows<Less>;
    case kOp_less_or_equal: return compare_rows<LessOrEqual>;
    case kOp_greater: return compare_rows<Greater>;
    case kOp_greater_or_equal: return compare_rows<GreaterOrEqual>;
    default: return compare_float<float>(opcode);
  }
}

// U: any type of the elements' size.
template <class U>
void run_where(const Block& block) {
  const uint8_t* condition = static_cast<const uint8_t*>(block.in[0]);
  const U* yes = static_cast<const U*>(block.in[1]);
  const U* no = static_cast<const U*>(block.in[2]);
  U* dst = static_cast<U*>(block.dst);
  const int64_t count = block.n;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const U y = yes[i], n = no[i];
    dst[i] = condition[i] != 0 ? y : n;
  }
}

}  // namespace

BlockFunction compare_function(int opcode, int type) {
  switch (type) {
    case kF32: return compare_f32(opcode);
    case kF64: return compare_float<double>(opcode);
    case kBool:
    case kU8: return compare<uint8_t>(opcode);
    case kI8: return compare<int8_t>(opcode);
    case kU16: return compare<uint16_t>(opcode);
    case kI16: return compare<int16_t>(opcode);
    case kU32: return compare<uint32_t>(opcode);
    case kI32: return compare<int32_t>(opcode);
    case kU64: return compare<uint64_t>(opcode);
    case kI64: return compare<int64_t>(opcode);
    default: return nullptr;
  }
}

BlockFunction logic_function(int opcode, int type) {
  if (opcode == kOp_where) {
    switch (bytes_of_type(type)) {
      case 1: return run_where<uint8_t>;
      case 2: return run_where<uint16_t>;
      case 4: return run_where<uint32_t>;
      case 8: return run_where<uint64_t>;
      default: return nullptr;
    }
  }
  if (opcode == kOp_identity && is_half(type)) return run_block<uint16_t, uint16_t, Identity>;
  if (type != kBool) return nullptr;
  switch (opcode) {
    case kOp_and: return run_block<uint8_t, uint8_t, And>;
    case kOp_or: return run_block<uint8_t, uint8_t, Or>;
    case kOp_xor: return run_block<uint8_t, uint8_t, Xor>;
    case kOp_not: return run_block<uint8_t, uint8_t, Not>;
    case kOp_identity: return run_block<uint8_t, uint8_t, Identity>;
    case kOp_min: return run_block<uint8_t, uint8_t, Min>;
    case kOp_max: return run_block<uint8_t, uint8_t, Max>;
    default: return nullptr;
  }
}

}  // namespace program
}  // namespace GK_LEVEL
}  // namespace graphopt
