// The registry of operators and what their shape functions share.
#include "executor/op.h"

#include <algorithm>

namespace graphopt {

#define GK_OP(name) extern const OpDef op_##name;
#include "ops.def"
#undef GK_OP

namespace {

const OpDef* const kOps[] = {
#define GK_OP(name) &op_##name,
#include "ops.def"
#undef GK_OP
    nullptr};

// Shape arithmetic is about dims: longer vectors are data.
constexpr int64_t kMostShapeValues = 4096;

}  // namespace

const OpDef* find_op(std::string_view name) {
  for (const OpDef* op : kOps) {
    if (op != nullptr && name == op->name) return op;
  }
  return nullptr;
}

int64_t element_count(const Dims& dims) {
  int64_t count = 1;
  for (int i = 0; i < dims.rank; ++i) {
    if (dims[i] < 0) return -1;
  }
  for (int i = 0; i < dims.rank; ++i) {
    if (dims[i] == 0) return 0;
  }
  for (int i = 0; i < dims.rank; ++i) {
    if (__builtin_mul_overflow(count, dims[i], &count)) return -1;
  }
  return count;
}

bool broadcast(std::initializer_list<const Dims*> shapes, Dims* result) {
  *result = {};
  for (const Dims* shape : shapes) result->rank = std::max(result->rank, shape->rank);
  for (int i = 0; i < result->rank; ++i) (*result)[i] = 1;
  for (const Dims* shape : shapes) {
    const int shift = result->rank - shape->rank;
    for (int i = 0; i < shape->rank; ++i) {
      int64_t& dim = (*result)[i + shift];
      if ((*shape)[i] == dim || (*shape)[i] == 1) continue;
      if (dim != 1) return false;
      dim = (*shape)[i];
    }
  }
  return true;
}

int normalized_axis(int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  return axis < 0 || axis >= rank ? -1 : static_cast<int>(axis);
}

std::string text_of(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank; ++i) {
    if (i > 0) text += ',';
    text += std::to_string(dims[i]);
  }
  text += ']';
  return text;
}

bool ShapeCall::integers(size_t input, std::vector<int64_t>* values) const {
  if (!has(input) || inputs[input].value == nullptr) return false;
  const TensorType& type = inputs[input].type;
  const int64_t count = element_count(type.dims);
  if (count < 0 || count > kMostShapeValues || type.dtype.code != GK_INT) return false;
  values->resize(static_cast<size_t>(count));
  if (type.dtype.bits == 64) {
    std::copy_n(static_cast<const int64_t*>(inputs[input].value), count, values->begin());
  } else if (type.dtype.bits == 32) {
    std::copy_n(static_cast<const int32_t*>(inputs[input].value), count, values->begin());
  } else {
    return false;
  }
  return true;
}

bool ShapeCall::numbers(size_t input, std::vector<double>* values) const {
  if (!has(input) || inputs[input].value == nullptr) return false;
  const TensorType& type = inputs[input].type;
  const int64_t count = element_count(type.dims);
  if (count < 0 || count > kMostShapeValues || type.dtype.code != GK_FLOAT || type.dtype.bits != 32) return false;
  const float* from = static_cast<const float*>(inputs[input].value);
  values->assign(from, from + count);
  return true;
}

}  // namespace graphopt
