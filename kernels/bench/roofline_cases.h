// What graphopt_roofline measures: calls of kernels with the work and the bytes that each has to do.
#pragma once

#include <cstdint>
#include <initializer_list>
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

constexpr gk_dtype kF32 = {GK_FLOAT, 32, 1};

// Sizes with multiplication signs between them.
std::string by(std::initializer_list<int64_t> dims);

// The case with its operations, and the bytes of its tensors counted.
Case finished(Case test, double operations);

// The convolutions among them.
std::vector<Case> convolutions();

// All of them, the table's order.
std::vector<Case> cases();

}  // namespace roofline
