// Sliding windows: what pool and conv_transpose read of their attributes, axis by axis.
#pragma once

#include "executor/op.h"

namespace graphopt {

// Larger sizes, strides or paddings are refused: sums and products of two stay far from overflow.
constexpr int64_t kMostOfAWindow = int64_t{1} << 30;

// `name` of the attributes, `count` values in [low, kMostOfAWindow), or all `otherwise` where it is missing.
inline bool window_values(const ShapeCall& call, std::string_view name, int count, int64_t low, int64_t otherwise,
                          std::vector<int64_t>* values) {
  const std::span<const int64_t> given = call.attributes.integers(name);
  values->assign(given.begin(), given.end());
  if (given.empty()) values->assign(static_cast<size_t>(count), otherwise);
  if (values->size() != static_cast<size_t>(count)) return false;
  for (const int64_t value : given) {
    if (value < low || value >= kMostOfAWindow) return false;
  }
  return true;
}

inline bool is_auto_pad(std::string_view name) {
  return name == "NOTSET" || name == "VALID" || name == "SAME_UPPER" || name == "SAME_LOWER";
}

}  // namespace graphopt
