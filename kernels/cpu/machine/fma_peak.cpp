// fma_peak: the arithmetic peak of one core, out of registers.
//
//   accumulator[r][l] = Σ over `repeat` steps of a·b        for every register r and lane l
//   sum               = Σ accumulator = operations / 2 · a·b
//
// inputs   a, b: one element each, the dtype measured; int8: a in [0, 127] (x86 reads it unsigned)
// outputs  sum: float64 [1]; operations: int64 [1], multiplications plus additions done
// attributes  repeat: steps, at least 1
// bytes moved: none.
//
// As many accumulators as hide the latency of every known core (latency × pipes ≤ 4 × 4), and the
// steps of one accumulator form a chain, as in a GEMM micro-kernel.
#include "cpu/call.h"
#include "cpu/vector.h"

namespace graphopt {
namespace GK_LEVEL {

int fma_peak(const gk_call*);

namespace {

// Leaves room for a, b and, without FMA, a product.
constexpr int kAccumulators = kVectorRegisters == 32 ? 24 : 12;

// Each dtype: what one instruction (without FMA: two) does, and how to fill its factors. Floating-point
// steps subtract (-a)·b: the same number as adding a·b, but a subtraction has only one operand it can
// overwrite, while compilers let an addition overwrite the product and run out of registers.

struct F32 {
  typedef float Scalar;
  typedef VecF32 Acc;
  typedef VecF32 In;
  static constexpr int kProducts = 1;  // per lane of the accumulator and step
  static In first(Scalar x) { return In{} - x; }
  static In second(Scalar x) { return In{} + x; }
  static Acc step(Acc acc, In a, In b) { return acc - a * b; }
};

struct F64 {
  typedef double Scalar;
  typedef VecF64 Acc;
  typedef VecF64 In;
  static constexpr int kProducts = 1;
  static In first(Scalar x) { return In{} - x; }
  static In second(Scalar x) { return In{} + x; }
  static Acc step(Acc acc, In a, In b) { return acc - a * b; }
};

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_DOTPROD)
#define GK_HAS_I8_DOT 1
struct I8 {
  typedef int8_t Scalar;
  typedef VecI32 Acc;
  typedef VecI32 In;
  static constexpr int kProducts = 4;
  static In first(Scalar x) { return In{} + static_cast<int32_t>(0x01010101u * static_cast<uint8_t>(x)); }
  static In second(Scalar x) { return first(x); }
  static Acc step(Acc acc, In a, In b) {
#if defined(__AVX512VNNI__)
    return (Acc)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
    return (Acc)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)a, (__m256i)b);
#else
    return vdotq_s32(acc, (int8x16_t)a, (int8x16_t)b);
#endif
  }
};
#endif

#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define GK_HAS_BF16_DOT 1
struct Bf16 {
  typedef uint16_t Scalar;  // the bits
  typedef VecF32 Acc;
  typedef VecI32 In;
  static constexpr int kProducts = 2;
  static In first(Scalar x) { return In{} + static_cast<int32_t>(0x00010001u * x); }
  static In second(Scalar x) { return first(x); }
  static Acc step(Acc acc, In a, In b) {
#if defined(__AVX512BF16__)
    return (Acc)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
    return vbfdotq_f32(acc, (bfloat16x8_t)a, (bfloat16x8_t)b);
#endif
  }
};
#endif

template <class T>
int run(const gk_call* call, int64_t repeat) {
  typename T::In a = T::first(*reinterpret_cast<const typename T::Scalar*>(bytes_of(call->inputs[0])));
  typename T::In b = T::second(*reinterpret_cast<const typename T::Scalar*>(bytes_of(call->inputs[1])));
  typename T::Acc acc[kAccumulators] = {};
  opaque(b);
  for (int64_t i = 0; i < repeat; ++i) {
#pragma GCC unroll 32
    for (int r = 0; r < kAccumulators; ++r) {
      opaque(a);  // a new factor each time: the product may not be hoisted
      acc[r] = T::step(acc[r], a, b);
      opaque(acc[r]);
    }
  }
  constexpr int kLanes = lanes_of(typename T::Acc{});
  double sum = 0;
#pragma GCC unroll 32
  for (int r = 0; r < kAccumulators; ++r) {  // a loop left over would index the array and keep it in memory
    const typename T::Acc done = acc[r];
    for (int l = 0; l < kLanes; ++l) sum += static_cast<double>(done[l]);
  }
  *reinterpret_cast<double*>(bytes_of(call->outputs[0])) = sum;
  *reinterpret_cast<int64_t*>(bytes_of(call->outputs[1])) = 2 * repeat * T::kProducts * kLanes * kAccumulators;
  return GK_OK;
}

}  // namespace

int fma_peak(const gk_call* call) {
  if (!has_arity(call, 2, 2)) return GK_INVALID_ARGUMENT;
  const gk_tensor &a = call->inputs[0], &b = call->inputs[1];
  const gk_tensor &sum = call->outputs[0], &operations = call->outputs[1];
  if (!is_dtype(sum, GK_FLOAT, 64) || compact_bytes(sum) != 8) return GK_INVALID_ARGUMENT;
  if (!is_dtype(operations, GK_INT, 64) || compact_bytes(operations) != 8) return GK_INVALID_ARGUMENT;
  if (compact_bytes(a) != a.dtype.bits / 8 || compact_bytes(b) != a.dtype.bits / 8) return GK_INVALID_ARGUMENT;
  if (b.dtype.code != a.dtype.code || b.dtype.bits != a.dtype.bits) return GK_INVALID_ARGUMENT;
  // The limit keeps the count of operations far from overflow: an hour of work on any machine.
  constexpr int64_t kMostRepeats = int64_t{1} << 40;
  const int64_t repeat = int_attribute(call, "repeat", 1);
  if (repeat < 1 || repeat > kMostRepeats) return GK_INVALID_ARGUMENT;
  if (call->phase != GK_RUN) return needs_no_workspace(call);
  if (is_dtype(a, GK_FLOAT, 32)) return run<F32>(call, repeat);
  if (is_dtype(a, GK_FLOAT, 64)) return run<F64>(call, repeat);
#if defined(GK_HAS_I8_DOT)
  if (is_dtype(a, GK_INT, 8)) return run<I8>(call, repeat);
#endif
#if defined(GK_HAS_BF16_DOT)
  if (is_dtype(a, GK_BFLOAT, 16)) return run<Bf16>(call, repeat);
#endif
  return GK_UNSUPPORTED;
}

}  // namespace GK_LEVEL
}  // namespace graphopt
