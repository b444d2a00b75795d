// The numbers of ONNX's TensorProto.DataType, which attributes hold.
#pragma once

#include "executor/op.h"

namespace graphopt {

// The numeric types; code 0 and no bits where there is no such type here.
inline gk_dtype onnx_dtype(int64_t number) {
  switch (number) {
    case 1: return {GK_FLOAT, 32, 1};
    case 2: return {GK_UINT, 8, 1};
    case 3: return {GK_INT, 8, 1};
    case 4: return {GK_UINT, 16, 1};
    case 5: return {GK_INT, 16, 1};
    case 6: return {GK_INT, 32, 1};
    case 7: return {GK_INT, 64, 1};
    case 9: return {GK_BOOL, 8, 1};
    case 10: return {GK_FLOAT, 16, 1};
    case 11: return {GK_FLOAT, 64, 1};
    case 12: return {GK_UINT, 32, 1};
    case 13: return {GK_UINT, 64, 1};
    case 16: return {GK_BFLOAT, 16, 1};
    default: return {};
  }
}

}  // namespace graphopt
