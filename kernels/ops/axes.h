// The axes of an operator that takes them as an input or as the attribute `axes`.
#pragma once

#include "executor/op.h"

namespace graphopt {

// Sets bit i for each axis i, counted from the front; false where they are not known, out of range or twice
// the same.
inline bool axes_mask(const ShapeCall& call, size_t input, int rank, uint32_t* mask) {
  std::vector<int64_t> axes;
  if (call.has(input)) {
    if (!call.integers(input, &axes)) return false;
  } else {
    const std::span<const int64_t> given = call.attributes.integers("axes");
    axes.assign(given.begin(), given.end());
  }
  *mask = 0;
  for (const int64_t axis : axes) {
    const int at = normalized_axis(axis, rank);
    if (at < 0 || (*mask >> at & 1) != 0) return false;
    *mask |= 1u << at;
  }
  return true;
}

}  // namespace graphopt
