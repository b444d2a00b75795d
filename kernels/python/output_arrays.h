// NumPy arrays for one output, used again once nobody else holds them. Every function needs the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "graphopt/graphopt.h"

namespace graphopt {

class OutputArrays {
 public:
  // An array of the tensor's shape and dtype (uint16 for bfloat16); sets tensor->data to its memory.
  nanobind::object take(gk_tensor* tensor);

 private:
  struct Kept {
    nanobind::object array;
    void* data;
    gk_dtype dtype;
    std::vector<int64_t> shape;
  };
  std::vector<Kept> kept_;
  size_t next_ = 0; // to give up
};

// A uint16 array as the bfloat16 numbers it holds.
nanobind::object as_bfloat16(const nanobind::object& bits);

}  // namespace graphopt
