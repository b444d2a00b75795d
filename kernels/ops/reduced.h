// The shape of a reduction, for the operators that reduce.
#pragma once

#include "executor/op.h"

namespace graphopt {

// `dims` without `axes` (all where there are none), or with ones in their place where keepdims is not 0.
// noop_with_empty_axes is the caller's business.
inline bool reduced_dims(ShapeCall& call, const Dims& dims, std::span<const int64_t> axes, Dims* result) {
  bool gone[kMaxRank] = {};
  for (const int64_t axis : axes) {
    const int at = normalized_axis(axis, dims.rank);
    if (at < 0) return call.fail("axis " + std::to_string(axis) + " is not one of " + text_of(dims));
    gone[at] = true;
  }
  const bool keep = call.attributes.integer("keepdims", 1) != 0;
  Dims out;
  for (int d = 0; d < dims.rank; ++d) {
    if (!gone[d] && !axes.empty()) {
      out[out.rank++] = dims[d];
    } else if (keep) {
      out[out.rank++] = 1;
    }
  }
  *result = out;
  return true;
}

}  // namespace graphopt
