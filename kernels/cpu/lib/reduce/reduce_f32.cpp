// Reductions of float32: rows into one number where the innermost dim goes (short ones: reduce_rows.cpp), else strips
// of columns in registers.
#include "cpu/lib/reduce/reduce_loops.h"

namespace graphopt {
namespace GK_LEVEL {

namespace {

using namespace reduce_loops;

// n contiguous floats into one, in four chains.
template <class F>
double reduce_row(const float* p, int64_t n, float most) {
  const VecF32 m = vmath::splat(most), empty = vmath::splat(F::kEmpty);
  VecF32 a = empty, b = empty, c = empty, d = empty;
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = F::join(a, F::map(vmath::load(p + i), m));
    b = F::join(b, F::map(vmath::load(p + i + kLanes), m));
    c = F::join(c, F::map(vmath::load(p + i + 2 * kLanes), m));
    d = F::join(d, F::map(vmath::load(p + i + 3 * kLanes), m));
  }
  for (; i < n; i += kLanes) {
    const int left = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    VecI32 index;
    for (int k = 0; k < kLanes; ++k) index[k] = k;
    const VecF32 v = F::map(vmath::load_part(p + i, left), m);
    a = F::join(a, vmath::select(index < left, v, empty));
  }
  return join_lanes<F>(F::join(F::join(a, b), F::join(c, d)));
}

// acc[c] joins rows of floats `stride` apart: kVectors vectors of columns stay in registers, and sums of 64 rows at
// a time keep the rounding small.
template <class F, int kVectors>
GK_INLINE void reduce_strip(float* acc, const float* p, int64_t stride, int64_t rows, const float* most, int part) {
  const auto at = [&](const float* from, int v) __attribute__((always_inline)) {
    return kVectors > 1 ? vmath::load(from + v * kLanes) : vmath::load_part(from, part);
  };
  VecF32 m[kVectors], total[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    m[v] = most == nullptr ? VecF32{} : at(most, v);
    total[v] = at(acc, v);
  }
  for (int64_t r = 0; r < rows;) {
    const int64_t end = rows - r < 64 ? rows : r + 64;
    VecF32 sum[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] = vmath::splat(F::kEmpty);
    for (; r < end; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[v] = F::join(sum[v], F::map(at(p + r * stride, v), m[v]));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) total[v] = F::join(total[v], sum[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    if constexpr (kVectors > 1) {
      vmath::store(acc + v * kLanes, total[v]);
    } else {
      vmath::store_part(acc, total[v], part);
    }
  }
}

template <class F>
void reduce_columns(float* acc, const float* p, int64_t stride, int64_t rows, int64_t n, const float* most) {
  const auto bounds = [&](int64_t i) { return most == nullptr ? nullptr : most + i; };
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) reduce_strip<F, 4>(acc + i, p + i, stride, rows, bounds(i), 0);
  for (; i < n; i += kLanes) {
    const int part = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    reduce_strip<F, 1>(acc + i, p + i, stride, rows, bounds(i), part);
  }
}

// The loops of one kind of sum, so that walking the dims is compiled once.
struct Loops {
  double (*row)(const float* p, int64_t n, float most);
  void (*columns)(float* acc, const float* p, int64_t stride, int64_t rows, int64_t n, const float* most);
  double (*join)(double a, double b);
  float empty;
};

template <class F>
constexpr Loops kLoops = {reduce_row<F>, reduce_columns<F>, F::join_one, F::kEmpty};

const Loops& loops_of(ReduceKind kind) {
  return *with_kind(kind, []<class F>() { return &kLoops<F>; });
}

// exp(x - m) of infinite m would be NaN; the sum is right without it.
float usable(double most) { return __builtin_isinf(most) ? 0.0f : static_cast<float>(most); }

// Output `index` of a plan whose innermost dim is reduced.
double to_one(RowSource* source, const ReducePlan& plan, int64_t index, const Loops& loops, float most) {
  const int inner = plan.rank - 1;
  ReduceWalk kept(plan, plan.strides, 0, inner), reduced(plan, plan.strides, 1, inner);
  kept.set(index);
  const int64_t base = kept.offset();
  double all = loops.empty;
  for (int64_t r = 0; r < reduced.total; ++r, reduced.next()) {
    const int64_t offset = base + reduced.offset();
    for (int64_t col = 0; col < plan.dims[inner]; col += source->most) {
      const int64_t left = plan.dims[inner] - col, n = left < source->most ? left : source->most;
      all = loops.join(all, loops.row(source->row(source, offset, col, n), n, most));
    }
  }
  return all;
}

// Columns [col, col + n) of the kept innermost dim, at kept position `index` of the others, into acc.
void to_row(RowSource* source, const ReducePlan& plan, int64_t index, int64_t col, int64_t n, const Loops& loops,
            const float* most, float* acc) {
  const int inner = plan.rank - 1;
  ReduceWalk kept(plan, plan.strides, 0, inner), reduced(plan, plan.strides, 1, inner);
  kept.set(index);
  const int64_t base = kept.offset();
  for (int64_t i = 0; i < n; ++i) acc[i] = loops.empty;
  if (reduced.total == 0) return;
  int64_t rows = 1, stride = 0;
  if (source->strided && reduced.count > 0) {
    rows = reduced.dims[reduced.count - 1];
    stride = reduced.strides[reduced.count - 1];
    reduced.total /= rows;
    --reduced.count;
  }
  for (int64_t r = 0; r < reduced.total; ++r, reduced.next()) {
    loops.columns(acc, source->row(source, base + reduced.offset(), col, n), stride, rows, n, most);
  }
}

void strip(RowSource* source, const ReducePlan& plan, int64_t index, int64_t col, int64_t n, float* y) {
  float most[kMostColumns];
  const bool shifted = plan.kind == kReduceLogSumExp;
  if (shifted) {
    to_row(source, plan, index, col, n, kLoops<Max>, nullptr, most);
    for (int64_t i = 0; i < n; ++i) most[i] = usable(most[i]);
  }
  to_row(source, plan, index, col, n, loops_of(plan.kind), shifted ? most : nullptr, y);
  finish_all(plan.kind, y, shifted ? most : nullptr, n, plan.per_output);
}

// Rows as they lie, or copied where their elements are apart.
struct Memory : RowSource {
  const float* data;
  int64_t col_stride;
  float copy[kMostColumns];

  Memory(const ReducePlan& plan, const float* x) : RowSource{plain, 0, true}, data(x) {
    const int inner = plan.rank - 1;
    col_stride = plan.dims[inner] <= 1 ? 1 : plan.strides[inner];
    // Whole rows where they are reduced: nothing is gained by cutting them.
    most = kMostColumns;
    if (col_stride != 1) {
      row = gathered;
      strided = false;
    } else if (plan.reduced[inner] != 0) {
      most = 8 * kMostColumns;
    }
  }
  static const float* plain(RowSource* self, int64_t offset, int64_t col, int64_t) {
    return static_cast<Memory*>(self)->data + offset + col;
  }
  static const float* gathered(RowSource* self, int64_t offset, int64_t col, int64_t n) {
    Memory* memory = static_cast<Memory*>(self);
    const float* from = memory->data + offset + col * memory->col_stride;
    for (int64_t i = 0; i < n; ++i) memory->copy[i] = from[i * memory->col_stride];
    return memory->copy;
  }
};

struct Loop {
  const ReducePlan& plan;
  const float* x;
  float* y;
};

void body(void* context, int64_t begin, int64_t end, int32_t) {
  const Loop& loop = *static_cast<const Loop*>(context);
  Memory source(loop.plan, loop.x);
  reduce_tasks(&source, loop.plan, loop.y, begin, end);
}

}  // namespace

int64_t reduce_task_count(const ReducePlan& plan, int64_t most) {
  const int inner = plan.rank - 1;
  if (plan.outputs == 0 || plan.reduced[inner] != 0) return plan.outputs;
  return plan.outputs / plan.dims[inner] * ((plan.dims[inner] + most - 1) / most);
}

void reduce_tasks(RowSource* source, const ReducePlan& plan, float* y, int64_t begin, int64_t end) {
  const int inner = plan.rank - 1;
  const int64_t cols = plan.dims[inner];
  const Loops& loops = loops_of(plan.kind);
  for (int64_t task = begin; task < end; ++task) {
    if (plan.reduced[inner] != 0) {
      float most = 0;
      if (plan.kind == kReduceLogSumExp) most = usable(to_one(source, plan, task, kLoops<Max>, 0));
      y[task] = finish(plan.kind, to_one(source, plan, task, loops, most), most, plan.per_output);
      continue;
    }
    const int64_t strips = (cols + source->most - 1) / source->most;
    const int64_t index = task / strips, col = task % strips * source->most;
    const int64_t n = cols - col < source->most ? cols - col : source->most;
    strip(source, plan, index, col, n, y + index * cols + col);
  }
}

int reduce_f32(const gk_call* call, const ReducePlan& plan, const float* x, float* y) {
  if (has_short_rows(plan)) return reduce_short_rows(call, plan, x, y);
  Loop loop = {plan, x, y};
  const int64_t tasks = reduce_task_count(plan, kMostColumns);
  if (tasks == 0) return GK_OK;
  const int64_t bytes = 4 * plan.outputs / tasks * plan.per_output;
  return parallel_for(call, tasks, kGrainBytes / (bytes + 16) + 1, body, &loop);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
