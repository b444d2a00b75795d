// Reductions of every dtype but float32: elements are widened to double, int64 or uint64 a chunk at a time.
// Integers wrap; the sum of halves is rounded once. Contiguous rows are joined in sixteen chains, columns side by side;
// both are plain loops that compilers turn into vectors.
#include "cpu/lib/elementwise/program.h"
#include "cpu/lib/reduce/reduce.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

using namespace program;

constexpr int64_t kChunk = 256;
constexpr int kChains = 16;

template <class Wide>
constexpr bool kFloating = false;
template <>
constexpr bool kFloating<double> = true;

// Integers are added and multiplied modulo 2^64.
template <class Wide>
inline Wide add(Wide a, Wide b) {
  if constexpr (kFloating<Wide>) return a + b;
  return static_cast<Wide>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <class Wide>
inline Wide multiply(Wide a, Wide b) {
  if constexpr (kFloating<Wide>) return a * b;
  return static_cast<Wide>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// One more element; `most` is the largest of all for log_sum_exp.
template <ReduceKind kind, class Wide>
inline Wide join(Wide so_far, Wide v, double most) {
  switch (kind) {
    case kReduceMax: return (so_far != so_far) | (so_far > v) ? so_far : v;
    case kReduceMin: return (so_far != so_far) | (so_far < v) ? so_far : v;
    case kReduceProd: return multiply(so_far, v);
    case kReduceL1: return add(so_far, v < 0 ? static_cast<Wide>(Wide{0} - v) : v);
    case kReduceSumSquare: return add(so_far, multiply(v, v));
    case kReduceLogSumExp:  // always in double
      return static_cast<Wide>(static_cast<double>(so_far) + __builtin_exp(static_cast<double>(v) - most));
    default: return add(so_far, v);
  }
}

// Two partial results.
template <ReduceKind kind, class Wide>
inline Wide join_parts(Wide a, Wide b) {
  constexpr bool picks = kind == kReduceMax || kind == kReduceMin || kind == kReduceProd;
  return join<picks ? kind : kReduceSum>(a, b, 0);
}

template <ReduceKind kind, class Wide>
Wide join_row(const Wide* v, int64_t n, Wide so_far, double most) {
  int64_t i = 0;
  if (n >= 2 * kChains) {
    // The first elements begin the chains where nothing needs to be done to them.
    Wide part[kChains];
    for (int k = 0; k < kChains; ++k) {
      constexpr bool picks = kind == kReduceMax || kind == kReduceMin || kind == kReduceProd;
      part[k] = picks ? v[k] : join<kind>(Wide{0}, v[k], most);
    }
    for (i = kChains; i + kChains <= n; i += kChains) {
      for (int k = 0; k < kChains; ++k) part[k] = join<kind>(part[k], v[i + k], most);
    }
    for (int width = kChains / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) part[k] = join_parts<kind>(part[k], part[k + width]);
    }
    so_far = join_parts<kind>(so_far, part[0]);
  }
  for (; i < n; ++i) so_far = join<kind>(so_far, v[i], most);
  return so_far;
}

template <ReduceKind kind, class Wide>
void join_columns(Wide* so_far, const Wide* v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) so_far[i] = join<kind>(so_far[i], v[i], 0);
}

template <class Wide>
struct Loops {
  Wide (*row)(const Wide* v, int64_t n, Wide so_far, double most);
  void (*columns)(Wide* so_far, const Wide* v, int64_t n);
};

template <class Wide>
Loops<Wide> loops_of(ReduceKind kind) {
  switch (kind) {
    case kReduceMax: return {join_row<kReduceMax, Wide>, join_columns<kReduceMax, Wide>};
    case kReduceMin: return {join_row<kReduceMin, Wide>, join_columns<kReduceMin, Wide>};
    case kReduceProd: return {join_row<kReduceProd, Wide>, join_columns<kReduceProd, Wide>};
    case kReduceL1: return {join_row<kReduceL1, Wide>, join_columns<kReduceL1, Wide>};
    case kReduceL2:
    case kReduceSumSquare: return {join_row<kReduceSumSquare, Wide>, join_columns<kReduceSumSquare, Wide>};
    case kReduceLogSumExp: return {join_row<kReduceLogSumExp, Wide>, nullptr};
    default: return {join_row<kReduceSum, Wide>, join_columns<kReduceSum, Wide>};
  }
}

template <class Wide>
Wide finish(ReduceKind kind, Wide value, double most, int64_t count) {
  switch (kind) {
    case kReduceMean:
      return kFloating<Wide> || count > 0 ? static_cast<Wide>(value / static_cast<Wide>(count)) : Wide{0};
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

template <class Wide, int kWideType>
struct Reducer {
  const Loop& loop;
  const ReducePlan& plan;
  const BlockFunction to_wide, to_narrow;
  alignas(64) char raw[kChunk * 8];
  Wide wide[kChunk];

  explicit Reducer(const Loop& of)
      : loop(of),
        plan(of.plan),
        to_wide(cast_function(of.type, kWideType)),
        to_narrow(cast_function(kWideType, of.type)) {}

  // n <= kChunk contiguous elements.
  const Wide* widen(const char* from, int64_t n) {
    if (loop.type == kWideType) return reinterpret_cast<const Wide*>(from);
    to_wide({wide, {from, nullptr, nullptr}, n, 0, 0, 0});
    return wide;
  }
  void store(int64_t output, const Wide* values, int64_t n) {
    to_narrow({loop.y + output * loop.bytes, {values, nullptr, nullptr}, n, 0, 0, 0});
  }

  // Everything that goes into the output at `base`.
  Wide over(const char* base, ReduceKind kind, double most) {
    const int inner = plan.rank - 1;
    const auto row = loops_of<Wide>(kind).row;
    Wide value = empty_of<Wide>(kind, loop.type);
    if (plan.reduced[inner] != 0 && plan.strides[inner] == 1) {
      ReduceWalk rows(plan, plan.strides, 1, inner);
      for (int64_t r = 0; r < rows.total; ++r, rows.next()) {
        const char* from = base + rows.offset() * loop.bytes;
        for (int64_t begin = 0; begin < plan.dims[inner]; begin += kChunk) {
          const int64_t n = plan.dims[inner] - begin < kChunk ? plan.dims[inner] - begin : kChunk;
          value = row(widen(from + begin * loop.bytes, n), n, value, most);
        }
      }
      return value;
    }
    ReduceWalk elements(plan, plan.strides, 1, plan.rank);
    for (int64_t begin = 0; begin < elements.total; begin += kChunk) {
      const int64_t n = elements.total - begin < kChunk ? elements.total - begin : kChunk;
      for (int64_t i = 0; i < n; ++i, elements.next()) {
        const char* from = base + elements.offset() * loop.bytes;
        for (int b = 0; b < loop.bytes; ++b) raw[i * loop.bytes + b] = from[b];
      }
      value = row(widen(raw, n), n, value, most);
    }
    return value;
  }

  // Outputs [begin, end), one after the other.
  void outputs(int64_t begin, int64_t end) {
    ReduceWalk kept(plan, plan.strides, 0, plan.rank);
    kept.set(begin);
    for (int64_t i = begin; i < end; ++i, kept.next()) {
      const char* base = loop.x + kept.offset() * loop.bytes;
      double most = 0;
      if (plan.kind == kReduceLogSumExp) {
        most = static_cast<double>(over(base, kReduceMax, 0));
        if (__builtin_isinf(most)) most = 0;
      }
      const Wide value = finish(plan.kind, over(base, plan.kind, most), most, plan.per_output);
      store(i, &value, 1);
    }
  }

  // Strip `task` of kChunk columns of the kept innermost dim.
  void strip(int64_t task) {
    const int inner = plan.rank - 1;
    const int64_t cols = plan.dims[inner], strips = (cols + kChunk - 1) / kChunk;
    const int64_t col = task % strips * kChunk, n = cols - col < kChunk ? cols - col : kChunk;
    ReduceWalk kept(plan, plan.strides, 0, inner), rows(plan, plan.strides, 1, inner);
    kept.set(task / strips);
    const char* base = loop.x + (kept.offset() + col) * loop.bytes;
    const auto columns = loops_of<Wide>(plan.kind).columns;
    Wide so_far[kChunk];
    for (int64_t i = 0; i < n; ++i) so_far[i] = empty_of<Wide>(plan.kind, loop.type);
    for (int64_t r = 0; r < rows.total; ++r, rows.next()) {
      columns(so_far, widen(base + rows.offset() * loop.bytes, n), n);
    }
    for (int64_t i = 0; i < n; ++i) so_far[i] = finish(plan.kind, so_far[i], 0.0, plan.per_output);
    store(task / strips * cols + col, so_far, n);
  }
};

template <class Wide, int kWideType>
void output_body(void* context, int64_t begin, int64_t end, int32_t) {
  Reducer<Wide, kWideType>(*static_cast<const Loop*>(context)).outputs(begin, end);
}

template <class Wide, int kWideType>
void strip_body(void* context, int64_t begin, int64_t end, int32_t) {
  Reducer<Wide, kWideType> reducer(*static_cast<const Loop*>(context));
  for (int64_t task = begin; task < end; ++task) reducer.strip(task);
}

template <class Wide, int kWideType>
int run(const gk_call* call, Loop& loop) {
  const ReducePlan& plan = loop.plan;
  const int inner = plan.rank - 1;
  if (plan.reduced[inner] == 0 && plan.strides[inner] == 1 && plan.kind != kReduceLogSumExp) {
    const int64_t cols = plan.dims[inner], width = cols < kChunk ? cols : kChunk;
    const int64_t tasks = plan.outputs / cols * ((cols + kChunk - 1) / kChunk);
    const int64_t grain = kGrainBytes / (4 * plan.per_output * width + 8) + 1;
    return parallel_for(call, tasks, grain, strip_body<Wide, kWideType>, &loop);
  }
  const int64_t grain = kGrainBytes / (4 * plan.per_output + 8) + 1;
  return parallel_for(call, plan.outputs, grain, output_body<Wide, kWideType>, &loop);
}

}  // namespace

int reduce_widened(const gk_call* call, const ReducePlan& plan, const gk_tensor& x, const gk_tensor& y) {
  const Type type = type_of(x.dtype);
  Loop loop = {plan, data_of<const char>(x), data_of<char>(y), type, bytes_of_type(type)};
  if (type == kF64 || is_half(type) || plan.kind == kReduceLogSumExp) return run<double, kF64>(call, loop);
  if (type == kU64) return run<uint64_t, kU64>(call, loop);
  return run<int64_t, kI64>(call, loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
