// What the tests of operators that move data share: tensors that own their bytes, shape functions and kernels called
// on every level, serially and with chunks in reverse order.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "executor/op.h"

namespace movement {

using graphopt::Dims;

inline constexpr gk_dtype kU16 = {GK_UINT, 16, 1}, kI32 = {GK_INT, 32, 1}, kBool = {GK_BOOL, 8, 1};
inline constexpr unsigned char kGuard = 0xa5;

inline int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

// A compact tensor between guard bytes.
struct Array {
  gk_dtype dtype = kF32;
  std::vector<int64_t> shape;
  std::vector<unsigned char> bytes;

  static constexpr int64_t kMargin = 64;

  Array() = default;
  Array(gk_dtype type, std::vector<int64_t> dims) : dtype(type), shape(std::move(dims)) {
    bytes.assign(static_cast<size_t>(size() + 2 * kMargin), kGuard);
  }
  template <class T>
  Array(gk_dtype type, std::vector<int64_t> dims, const std::vector<T>& values) : Array(type, std::move(dims)) {
    CHECK(static_cast<int64_t>(values.size() * sizeof(T)) == size());
    if (!values.empty()) std::memcpy(data(), values.data(), values.size() * sizeof(T));
  }

  int64_t element() const { return dtype.bits / 8; }
  int64_t count() const { return count_of(shape); }
  int64_t size() const { return count() * element(); }
  unsigned char* data() { return bytes.data() + kMargin; }
  const unsigned char* data() const { return bytes.data() + kMargin; }
  template <class T>
  T* as() { return reinterpret_cast<T*>(data()); }
  gk_tensor tensor() {
    return {data(), {GK_CPU, 0}, static_cast<int32_t>(shape.size()), dtype, shape.data(), nullptr, 0};
  }
  bool guarded() const {
    for (int64_t i = 0; i < kMargin; ++i) {
      if (bytes[static_cast<size_t>(i)] != kGuard || bytes[bytes.size() - 1 - static_cast<size_t>(i)] != kGuard) {
        return false;
      }
    }
    return true;
  }
};

// Bytes that repeat only after a long while.
inline Array random_array(gk_dtype dtype, std::vector<int64_t> shape, uint32_t seed = 1) {
  Array array(dtype, std::move(shape));
  for (int64_t i = 0; i < array.size(); ++i) {
    array.data()[i] = static_cast<unsigned char>((seed = seed * 1664525u + 1013904223u) >> 24);
  }
  return array;
}

inline Array int64s(std::vector<int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Array(kI64, {count}, values);
}

// The next index of `shape` in row-major order; false past the last.
inline bool next_index(const std::vector<int64_t>& shape, std::vector<int64_t>* index) {
  for (size_t i = shape.size(); i-- > 0;) {
    if (++(*index)[i] < shape[i]) return true;
    (*index)[i] = 0;
  }
  return false;
}

inline int64_t flat_index(const std::vector<int64_t>& shape, const std::vector<int64_t>& index) {
  int64_t flat = 0;
  for (size_t i = 0; i < shape.size(); ++i) flat = flat * shape[i] + index[i];
  return flat;
}

// Attributes that own their arrays.
struct Attributes {
  std::vector<gk_attribute> list;

  Attributes& integer(const char* name, int64_t value) {
    gk_attribute attribute = {name, GK_ATTRIBUTE_INT, 1, {0}};
    attribute.value.i = value;
    list.push_back(attribute);
    return *this;
  }
  Attributes& text(const char* name, const char* value) {
    gk_attribute attribute = {name, GK_ATTRIBUTE_STRING, static_cast<int32_t>(std::strlen(value)), {0}};
    attribute.value.s = value;
    list.push_back(attribute);
    return *this;
  }
  // `values` must outlive the attributes.
  Attributes& integers(const char* name, const std::vector<int64_t>& values) {
    gk_attribute attribute = {name, GK_ATTRIBUTE_INTS, static_cast<int32_t>(values.size()), {0}};
    attribute.value.ints = values.data();
    list.push_back(attribute);
    return *this;
  }
};

inline Dims dims_of(const std::vector<int64_t>& shape) {
  Dims dims;
  dims.rank = static_cast<int>(shape.size());
  for (int i = 0; i < dims.rank; ++i) dims[i] = shape[static_cast<size_t>(i)];
  return dims;
}

inline std::vector<int64_t> vector_of_dims(const Dims& dims) { return {dims.at, dims.at + dims.rank}; }

inline std::vector<graphopt::Operand> operands_of(const std::vector<Array*>& inputs) {
  std::vector<graphopt::Operand> operands;
  for (const Array* input : inputs) {
    graphopt::Operand operand;
    if (input != nullptr) operand = {true, {input->dtype, dims_of(input->shape)}, input->data()};
    operands.push_back(operand);
  }
  return operands;
}

struct Shapes {
  bool ok = false;
  std::string error;
  std::vector<graphopt::TensorType> types;
};

// What the shape function of `op` says where all inputs are known; a null input is left out.
inline Shapes shapes_of(const char* op, const std::vector<Array*>& inputs, const Attributes& attributes = {},
                        size_t outputs = 1) {
  Shapes result;
  const graphopt::OpDef* def = graphopt::find_op(op);
  CHECK_WITH(def != nullptr, op);
  if (def == nullptr) return result;
  const std::vector<graphopt::Operand> operands = operands_of(inputs);
  result.types.resize(outputs);
  graphopt::ShapeCall call = {operands,
                              {attributes.list.data(), static_cast<int>(attributes.list.size())},
                              result.types,
                              {}};
  result.ok = def->shapes(call);
  result.error = call.error;
  CHECK_WITH(result.ok || !result.error.empty(), std::string(op) + " refuses without a reason");
  return result;
}

inline int run_kernel(const char* op, const std::vector<Array*>& inputs, const std::vector<Array*>& outputs,
                      const Attributes& attributes, int32_t isa, const gk_parallel* parallel) {
  Call call;
  for (Array* input : inputs) {
    call.inputs.push_back(input == nullptr ? gk_tensor{nullptr, {GK_CPU, 0}, -1, kF32, nullptr, nullptr, 0}
                                           : input->tensor());
  }
  for (Array* output : outputs) call.outputs.push_back(output->tensor());
  call.attributes = attributes.list;
  call.raw.isa = isa;
  call.raw.parallel = parallel;
  return gk_run_kernel(op, call.get());
}

// Runs `op` on every level, serially and not, into outputs of the types its shape function gives, and checks them
// against `expected`, bit by bit.
inline void check_op(const char* op, const std::vector<Array*>& inputs, const Array& expected,
                     const Attributes& attributes = {}, const std::string& context = {}) {
  const Shapes shapes = shapes_of(op, inputs, attributes);
  const std::string what = std::string(op) + " " + context;
  CHECK_WITH(shapes.ok, what + ": " + shapes.error);
  if (!shapes.ok) return;
  CHECK_WITH(vector_of_dims(shapes.types[0].dims) == expected.shape, what + graphopt::text_of(shapes.types[0].dims));
  CHECK_WITH(shapes.types[0].dtype.code == expected.dtype.code && shapes.types[0].dtype.bits == expected.dtype.bits,
             what);
  for (const int32_t isa : supported_levels()) {
    for (const bool parallel : {false, true}) {
      ReversedPool pool;
      Array actual(expected.dtype, expected.shape);
      const int status = run_kernel(op, inputs, {&actual}, attributes, isa, parallel ? &pool.raw : nullptr);
      const std::string where = what + " " + gk_isa_name(isa) + (parallel ? " parallel" : "");
      CHECK_WITH(status == GK_OK, where + ": " + gk_status_text(status));
      CHECK_WITH(actual.bytes == expected.bytes, where);
    }
  }
}

// The kernel refuses with `status` and writes nothing.
inline void check_refused(const char* op, const std::vector<Array*>& inputs, Array output, int status,
                          const Attributes& attributes = {}, const std::string& context = {}) {
  for (const int32_t isa : supported_levels()) {
    const Array before = output;
    const int actual = run_kernel(op, inputs, {&output}, attributes, isa, nullptr);
    CHECK_WITH(actual == status, std::string(op) + " " + context + ": " + gk_status_text(actual));
    CHECK_WITH(output.bytes == before.bytes, std::string(op) + " " + context);
  }
}

}  // namespace movement
