// The loops of resize: one axis of a tensor at a time, seen as [outer, in, inner].
#pragma once

#include "cpu/lib/resize_table.h"

namespace graphopt {
namespace GK_LEVEL {

struct ResizePass {
  const float* x;
  float* y;
  ResizeTable table;
  int64_t in, out, inner;
  float extrapolation;
};

// Bodies of a parallel loop over a ResizePass. Inner above one: a task is one output row of `inner` elements.
void weigh_rows(void* pass, int64_t begin, int64_t end, int32_t worker);

// Inner is one: a task is a whole row of `out` elements.
void weigh_elements(void* pass, int64_t begin, int64_t end, int32_t worker);

// y[i] = x[index[i]] for i < count, where indices never fall and are below `in`.
void gather_words(const float* x, int64_t in, const int32_t* index, int64_t count, float* y);

}  // namespace GK_LEVEL
}  // namespace graphopt
