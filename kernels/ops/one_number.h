// A single number that decides a shape: the depth of one_hot, the ends of a range.
#pragma once

#include <cstring>

#include "executor/op.h"

namespace graphopt {

template <class T>
T read_one(const Operand& operand) {
  T value;
  std::memcpy(&value, operand.value, sizeof value);
  return value;
}

// One element of a known integer tensor, or false.
inline bool one_integer(const Operand& operand, int64_t* value) {
  if (!operand.present || operand.value == nullptr || element_count(operand.type.dims) != 1) return false;
  const gk_dtype& dtype = operand.type.dtype;
  if (dtype.code == GK_INT) {
    switch (dtype.bits) {
      case 8: *value = read_one<int8_t>(operand); return true;
      case 16: *value = read_one<int16_t>(operand); return true;
      case 32: *value = read_one<int32_t>(operand); return true;
      case 64: *value = read_one<int64_t>(operand); return true;
      default: return false;
    }
  }
  if (dtype.code == GK_UINT) {
    switch (dtype.bits) {
      case 8: *value = read_one<uint8_t>(operand); return true;
      case 16: *value = read_one<uint16_t>(operand); return true;
      case 32: *value = read_one<uint32_t>(operand); return true;
      case 64: *value = static_cast<int64_t>(read_one<uint64_t>(operand)); return *value >= 0;
      default: return false;
    }
  }
  return false;
}

// One element of a known float32 or float64 tensor, or false.
inline bool one_float(const Operand& operand, double* value) {
  if (!operand.present || operand.value == nullptr || element_count(operand.type.dims) != 1) return false;
  const gk_dtype& dtype = operand.type.dtype;
  if (dtype.code != GK_FLOAT || (dtype.bits != 32 && dtype.bits != 64)) return false;
  *value = dtype.bits == 32 ? static_cast<double>(read_one<float>(operand)) : read_one<double>(operand);
  return true;
}

}  // namespace graphopt
