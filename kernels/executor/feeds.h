// What a caller feeds against what a plan declares.
#pragma once

#include <string>

#include "executor/plan_data.h"

namespace graphopt {

// dtypes, ranks, fixed sizes, and equal sizes for equal symbols. Throws Failure saying what was expected.
void check_feeds(const PlanData& plan, const gk_tensor* inputs);

// Everything of the inputs that a schedule depends on: two calls with the same key share one.
void feed_key(const PlanData& plan, const gk_tensor* inputs, std::string* key);

// "float32"
std::string dtype_name(gk_dtype dtype);

}  // namespace graphopt
