// Reductions over any axes of a tensor with any strides.
//
// The dims are walked in order, merged where neighbours are alike. `outputs` counts what is kept, `per_output`
// what is reduced into each. Sums are taken in an order that only shapes decide.
#pragma once

#include "cpu/lib/elementwise/broadcast.h"

namespace graphopt {
namespace GK_LEVEL {

enum ReduceKind : int32_t {
  kReduceSum,
  kReduceMean,
  kReduceMax,
  kReduceMin,
  kReduceProd,
  kReduceL1,
  kReduceL2,
  kReduceLogSum,
  kReduceLogSumExp,
  kReduceSumSquare,
  kReduceKinds,
};

// Number of a kind's name, or kReduceKinds.
ReduceKind reduce_kind(const char* name);

// Plain bytes: part of a kernel's state.
struct ReducePlan {
  ReduceKind kind;
  int32_t rank;
  int64_t dims[kMaxDims];
  int64_t strides[kMaxDims];     // of the input, in elements
  uint8_t reduced[kMaxDims];
  int64_t outputs, per_output;
};

// Bit d: axis d of a tensor of `rank` goes. Axes come from input 1 (int64 or int32) or the attribute; none means
// all, or none where noop_with_empty_axes is 1. GK_UNSUPPORTED where the contents of input 1 are not known.
int reduced_axes(const gk_call* call, int rank, uint32_t* mask);

// Checks that `output` has the dims of the input that are not in the mask, ones in between or not.
bool is_reduced_shape(const int64_t* dims, int rank, uint32_t mask, const gk_tensor& output);

// Fills the plan for dims and strides of the input.
void plan_reduction(const int64_t* dims, const int64_t* strides, int rank, uint32_t mask, ReduceKind kind,
                    ReducePlan* plan);

// The dims that are reduced (or kept) except the innermost of all, walked like an odometer.
struct ReduceWalk {
  int count = 0;
  int64_t total = 1;
  int64_t dims[kMaxDims], strides[kMaxDims], at[kMaxDims];

  ReduceWalk(const ReducePlan& plan, const int64_t* of, uint8_t reduced, int end) {
    for (int d = 0; d < end; ++d) {
      if (plan.reduced[d] != reduced) continue;
      dims[count] = plan.dims[d];
      total *= plan.dims[d];
      at[count] = 0;
      strides[count++] = of[d];
    }
  }
  void set(int64_t index) {
    for (int d = count - 1; d >= 0; --d) {
      at[d] = index % dims[d];
      index /= dims[d];
    }
  }
  void next() {
    for (int d = count - 1; d >= 0; --d) {
      if (++at[d] < dims[d]) return;
      at[d] = 0;
    }
  }
  int64_t offset() const {
    int64_t sum = 0;
    for (int d = 0; d < count; ++d) sum += at[d] * strides[d];
    return sum;
  }
};

// Where rows of float32 come from: memory, or an elementwise program. row() gives n contiguous floats from column
// `col` of the row at `offset`, which counts plan.strides of the dims before the innermost; n is at most `most`,
// which is at most kMostColumns. From a strided source the rows at the following offsets lie `stride` floats
// apart, so several can be read at once.
constexpr int64_t kMostColumns = 512;

struct RowSource {
  const float* (*row)(RowSource* self, int64_t offset, int64_t col, int64_t n);
  int64_t most;
  bool strided;
};

// Independent pieces of work: outputs where the innermost dim is reduced, else strips of at most `most` columns.
int64_t reduce_task_count(const ReducePlan& plan, int64_t most);

// Tasks [begin, end) to y.
void reduce_tasks(RowSource* source, const ReducePlan& plan, float* y, int64_t begin, int64_t end);

// Whether each output is one short contiguous row: then several rows are reduced together.
bool has_short_rows(const ReducePlan& plan);
int reduce_short_rows(const gk_call* call, const ReducePlan& plan, const float* x, float* y);

int reduce_f32(const gk_call* call, const ReducePlan& plan, const float* x, float* y);

// Every other dtype, by way of double or 64-bit integers.
int reduce_widened(const gk_call* call, const ReducePlan& plan, const gk_tensor& x, const gk_tensor& y);

}  // namespace GK_LEVEL
}  // namespace graphopt
