// Python objects that offer memory (buffer protocol), as tensors.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "graphopt/graphopt.h"

namespace graphopt {

// The memory of an object, held until this ends.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : view_(std::exchange(other.view_, {})) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() { PyBuffer_Release(&view_); }

  // Bytes in one piece; throws what Python throws.
  static Buffer bytes(nanobind::handle object);
  // An array of numbers with any strides; false, and no exception, where the object is none.
  bool read_array(nanobind::handle object);

  const Py_buffer& view() const { return view_; }
  // Of what read_array found: elements do not lie at whole elements from each other, as in a column of records.
  bool steps_inside_elements() const;
  // Of what read_array found. `strides` [GK_MAX_RANK] is written. lanes 0: not in native byte order, or no number.
  gk_tensor tensor(int64_t* strides) const;

 private:
  Py_buffer view_ = {};
};

}  // namespace graphopt
