#include "buffer.h"

#include <cstring>

namespace nb = nanobind;

namespace graphopt {
namespace {

gk_dtype dtype_of(const char* format, Py_ssize_t size) {
  if (format == nullptr) format = "B";
  if (std::strchr("@=<|", *format) != nullptr && *format != '\0') ++format;
  const auto bits = static_cast<uint8_t>(size * 8);
  if (*format == '\0' || format[1] != '\0' || size > 8) return {0, 0, 0};
  if (*format == '?') return {GK_BOOL, 8, 1};
  if (std::strchr("efd", *format) != nullptr) return {GK_FLOAT, bits, 1};
  if (std::strchr("bhilqn", *format) != nullptr) return {GK_INT, bits, 1};
  if (std::strchr("BHILQN", *format) != nullptr) return {GK_UINT, bits, 1};
  return {0, 0, 0};
}

}  // namespace

Buffer Buffer::bytes(nb::handle object) {
  Buffer buffer;
  if (PyObject_GetBuffer(object.ptr(), &buffer.view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
  return buffer;
}

bool Buffer::read_array(nb::handle object) {
  PyBuffer_Release(&view_);
  if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_RECORDS_RO) == 0) return true;
  PyErr_Clear();
  return false;
}

bool Buffer::steps_inside_elements() const {
  for (int i = 0; i < view_.ndim && view_.itemsize > 0; ++i) {
    if (view_.shape[i] > 1 && view_.strides[i] % view_.itemsize != 0) return true;
  }
  return false;
}

gk_tensor Buffer::tensor(int64_t* strides) const {
  static_assert(sizeof(Py_ssize_t) == sizeof(int64_t));
  gk_tensor tensor = {view_.buf, {GK_CPU, 0}, view_.ndim, dtype_of(view_.format, view_.itemsize),
                      reinterpret_cast<int64_t*>(view_.shape), nullptr, 0};
  if (view_.ndim > GK_MAX_RANK || view_.itemsize == 0) return tensor;
  uint64_t compact = static_cast<uint64_t>(view_.itemsize); // wraps where an empty array has large dims
  bool gaps = false;
  for (int i = view_.ndim - 1; i >= 0; --i) {
    if (view_.shape[i] > 1) gaps = gaps || static_cast<uint64_t>(view_.strides[i]) != compact;
    strides[i] = view_.strides[i] / view_.itemsize;
    compact *= static_cast<uint64_t>(view_.shape[i]);
  }
  if (gaps) tensor.strides = strides;
  return tensor;
}

}  // namespace graphopt
