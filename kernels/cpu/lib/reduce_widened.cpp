// Reductions of every dtype but float32: elements are widened to double, int64 or uint64 a chunk at a time.
// Integers wrap; the sum of halves is rounded once.
#include "cpu/lib/program.h"
#include "cpu/lib/reduce.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

using namespace program;

constexpr int64_t kChunk = 256;

template <class Wide>
constexpr bool kFloating = false;
template <>
constexpr bool kFloating<double> = true;

// Integers are added and multiplied modulo 2^64.
template <class Wide>
Wide add(Wide a, Wide b) {
  if constexpr (kFloating<Wide>) return a + b;
  return static_cast<Wide>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <class Wide>
Wide multiply(Wide a, Wide b) {
  if constexpr (kFloating<Wide>) return a * b;
  return static_cast<Wide>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// One more element; `most` is the largest of all for log_sum_exp.
template <class Wide>
Wide join(ReduceKind kind, Wide so_far, Wide v, double most) {
  switch (kind) {
    case kReduceMax: return so_far != so_far || so_far > v ? so_far : v;
    case kReduceMin: return so_far != so_far || so_far < v ? so_far : v;
    case kReduceProd: return multiply(so_far, v);
    case kReduceL1: return add(so_far, v < 0 ? static_cast<Wide>(Wide{0} - v) : v);
    case kReduceL2:
    case kReduceSumSquare: return add(so_far, multiply(v, v));
    case kReduceLogSumExp: return static_cast<Wide>(static_cast<double>(so_far) + __builtin_exp(static_cast<double>(v) - most));
    default: return add(so_far, v);
  }
}

template <class Wide>
Wide finish(ReduceKind kind, Wide value, double most, int64_t count) {
  switch (kind) {
    case kReduceMean: return kFloating<Wide> || count > 0 ? static_cast<Wide>(value / static_cast<Wide>(count)) : Wide{0};
    case kReduceL2: return static_cast<Wide>(__builtin_sqrt(static_cast<double>(value)));
    case kReduceLogSum: return static_cast<Wide>(__builtin_log(static_cast<double>(value)));
    case kReduceLogSumExp: return static_cast<Wide>(most + __builtin_log(static_cast<double>(value)));
    default: return value;
  }
}

// What a reduction over nothing gives.
template <class Wide>
Wide empty_of(ReduceKind kind, int type) {
  if (kind == kReduceProd) return 1;
  if (kind != kReduceMax && kind != kReduceMin) return 0;
  const bool most = kind == kReduceMin;
  if constexpr (kFloating<Wide>) return most ? __builtin_inf() : -__builtin_inf();
  if (type == kBool) return most ? 1 : 0;
  const int bits = 8 * bytes_of_type(type);
  const bool is_signed = type == kI8 || type == kI16 || type == kI32 || type == kI64;
  const uint64_t top = ~uint64_t{0} >> (64 - bits + (is_signed ? 1 : 0));
  return most ? static_cast<Wide>(top) : is_signed ? static_cast<Wide>(~top) : Wide{0};
}

struct Loop {
  const ReducePlan& plan;
  const char* x;
  char* y;
  int type, bytes;
};

template <class Wide>
struct Reducer {
  const Loop& loop;
  BlockFunction widen;
  ReduceWalk reduced;
  alignas(64) char raw[kChunk * 8];
  Wide wide[kChunk];

  Wide over(const char* base, ReduceKind kind, double most) {
    Wide value = empty_of<Wide>(kind, loop.type);
    for (int d = 0; d < reduced.count; ++d) reduced.at[d] = 0;
    for (int64_t begin = 0; begin < reduced.total; begin += kChunk) {
      const int64_t n = reduced.total - begin < kChunk ? reduced.total - begin : kChunk;
      for (int64_t i = 0; i < n; ++i, reduced.next()) {
        const char* from = base + reduced.offset() * loop.bytes;
        for (int b = 0; b < loop.bytes; ++b) raw[i * loop.bytes + b] = from[b];
      }
      widen({wide, {raw, nullptr, nullptr}, n, 0, 0, 0});
      for (int64_t i = 0; i < n; ++i) value = join(kind, value, wide[i], most);
    }
    return value;
  }
};

template <class Wide, int kWideType>
void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  const ReducePlan& plan = loop.plan;
  ReduceWalk kept(plan, plan.strides, 0, plan.rank);
  kept.set(begin);
  Reducer<Wide> reducer = {loop, cast_function(loop.type, kWideType), ReduceWalk(plan, plan.strides, 1, plan.rank), {}, {}};
  const BlockFunction narrow = cast_function(kWideType, loop.type);
  for (int64_t i = begin; i < end; ++i, kept.next()) {
    const char* base = loop.x + kept.offset() * loop.bytes;
    double most = 0;
    if (plan.kind == kReduceLogSumExp) {
      most = static_cast<double>(reducer.over(base, kReduceMax, 0));
      if (__builtin_isinf(most)) most = 0;
    }
    const Wide value = finish(plan.kind, reducer.over(base, plan.kind, most), most, plan.per_output);
    narrow({loop.y + i * loop.bytes, {&value, nullptr, nullptr}, 1, 0, 0, 0});
  }
}

}  // namespace

int reduce_widened(const gk_call* call, const ReducePlan& plan, const gk_tensor& x, const gk_tensor& y) {
  const Type type = type_of(x.dtype);
  Loop loop = {plan, data_of<const char>(x), data_of<char>(y), type, bytes_of_type(type)};
  const int64_t grain = kGrainBytes / (4 * plan.per_output + 8) + 1;
  if (type == kF64 || is_half(type)) return parallel_for(call, plan.outputs, grain, body<double, kF64>, &loop);
  if (type == kU64) return parallel_for(call, plan.outputs, grain, body<uint64_t, kU64>, &loop);
  return parallel_for(call, plan.outputs, grain, body<int64_t, kI64>, &loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
