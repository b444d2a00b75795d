// What graphopt_roofline measures: calls of kernels with the work and the bytes that each has to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graphopt/graphopt.h"

namespace roofline {

// A tensor with memory of its own; strides are empty where it is compact.
struct Tensor {
  gk_dtype dtype;
  std::vector<int64_t> shape, strides;
  bool constant = false;
};

struct Case {
  std::string op, name;
  std::vector<Tensor> inputs, outputs;
  std::vector<std::pair<std::string, std::vector<int64_t>>> ints;  // attributes: one number, or a list
  std::vector<std::string> lists;                                  // which of them are lists even of one
  double operations;                                               // multiplications plus additions
  double bytes;                                                    // read plus written, each tensor once
  bool int8 = false;                                               // the arithmetic roof is the one of int8
};

// All of them, the table's order.
std::vector<Case> cases();

}  // namespace roofline
