// Strides of a tensor after a change of its dims that keeps the row-major order of its elements.
#pragma once

#include "executor/op.h"

namespace graphopt {

// Groups the dims of both shapes into the shortest runs of equal products; within a run the old dims must lie
// in memory like one dim, which the new ones cut. False where they do not: only a copy can be looked at so.
inline bool reshaped_strides(const Dims& from, const Dims& strides, const Dims& to, Dims* result) {
  *result = {};
  result->rank = to.rank;
  if (element_count(to) <= 1) return true; // nothing is ever stepped over
  int i = 0, j = 0;
  while (j < to.rank) {
    if (to[j] == 1) {
      ++j;
      continue;
    }
    while (i < from.rank && from[i] == 1) ++i;
    if (i == from.rank) return false;
    // The run of old dims [i, old_end) holds the elements of the new ones [j, new_end).
    int old_end = i + 1, new_end = j + 1;
    int64_t old_count = from[i], new_count = to[j];
    while (old_count != new_count) {
      if (old_count < new_count) {
        if (old_end == from.rank) return false;
        old_count *= from[old_end++];
      } else {
        if (new_end == to.rank) return false;
        new_count *= to[new_end++];
      }
    }
    int64_t inner = strides[old_end - 1], expected = 0;
    bool first = true;
    for (int k = old_end - 1; k >= i; --k) {
      if (from[k] == 1) continue;
      if (first) {
        inner = strides[k];
        first = false;
      } else if (strides[k] != expected) {
        return false;
      }
      expected = strides[k] * from[k];
    }
    for (int k = new_end - 1; k >= j; --k) {
      (*result)[k] = inner;
      inner *= to[k];
    }
    i = old_end;
    j = new_end;
  }
  return true;
}

}  // namespace graphopt
