// What the tests of attention, norms and recurrent networks share: float tensors that own their memory, and a kernel
// run in every way an executor may run it, which must give the same bits, compared with an oracle.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>

#include "check.h"
#include "executor/op.h"

namespace floats {

inline constexpr double kEpsilon = 0x1p-24;  // half an ulp of float32, relative
inline constexpr gk_dtype kI32 = {GK_INT, 32, 1}, kBool = {GK_BOOL, 8, 1};

inline int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

// A compact tensor; `strides` makes it a view of `values`, which the test fills to match.
struct Tensor {
  gk_dtype dtype = kF32;
  std::vector<int64_t> shape, strides;
  std::vector<float> values;
  std::vector<unsigned char> bytes;  // of another dtype
  int64_t offset = 0;                // elements
  bool absent = false;

  gk_tensor raw() {
    if (absent) return {nullptr, {GK_CPU, 0}, -1, dtype, nullptr, nullptr, 0};
    void* data = dtype.code == GK_FLOAT ? static_cast<void*>(values.data() + offset) : bytes.data();
    return {data, {GK_CPU, 0}, static_cast<int32_t>(shape.size()), dtype, shape.data(),
            strides.empty() ? nullptr : strides.data(), 0};
  }
};

inline Tensor none() {
  Tensor tensor;
  tensor.absent = true;
  return tensor;
}

// Values in [-1, 1), the same for the same seed.
inline Tensor random(std::vector<int64_t> shape, uint32_t seed, float scale = 1.0f) {
  Tensor tensor;
  tensor.values.resize(static_cast<size_t>(count_of(shape)) + 1);  // a valid pointer where it is empty
  tensor.shape = std::move(shape);
  uint32_t state = seed * 2654435761u + 12345u;
  for (float& value : tensor.values) {
    state = state * 1664525u + 1013904223u;
    value = (static_cast<float>(state >> 8) * 0x1p-23f - 1.0f) * scale;
  }
  return tensor;
}

// The same numbers with `gap` NaNs behind each row, the last axis: part of a wider tensor.
inline Tensor in_rows(const Tensor& from, int64_t gap) {
  Tensor tensor = from;
  const int64_t width = from.shape.back(), step = width + gap, rows = width == 0 ? 0 : count_of(from.shape) / width;
  tensor.values.assign(static_cast<size_t>(rows * step) + 1, NAN);
  for (int64_t i = 0; i < rows * width; ++i) {
    tensor.values[static_cast<size_t>(i / width * step + i % width)] = from.values[static_cast<size_t>(i)];
  }
  tensor.strides.assign(from.shape.size(), 1);
  for (size_t i = from.shape.size() - 1; i > 0; --i) {
    tensor.strides[i - 1] = i + 1 == from.shape.size() ? step : tensor.strides[i] * from.shape[i];
  }
  return tensor;
}

template <class T>
inline Tensor of_bytes(gk_dtype dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.bytes.resize(values.size() * sizeof(T) + 1);
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size() * sizeof(T));
  return tensor;
}

inline gk_attribute integer(const char* name, int64_t value) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_INT, 1, {0}};
  attribute.value.i = value;
  return attribute;
}

inline gk_attribute number(const char* name, double value) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_FLOAT, 1, {0}};
  attribute.value.f = value;
  return attribute;
}

inline gk_attribute text(const char* name, const char* value) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_STRING, static_cast<int32_t>(std::strlen(value)), {0}};
  attribute.value.s = value;
  return attribute;
}

// `values` must outlive the attribute.
inline gk_attribute numbers(const char* name, const std::vector<double>& values) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_FLOATS, static_cast<int32_t>(values.size()), {0}};
  attribute.value.floats = values.data();
  return attribute;
}

inline gk_attribute integers(const char* name, const std::vector<int64_t>& values) {
  gk_attribute attribute = {name, GK_ATTRIBUTE_INTS, static_cast<int32_t>(values.size()), {0}};
  attribute.value.ints = values.data();
  return attribute;
}

// What an output should be: absent, or values each with its own tolerance.
struct Expected {
  std::vector<int64_t> shape;
  std::vector<double> values, tolerance;
  bool absent = false;
};

inline Expected no_output() {
  Expected expected;
  expected.absent = true;
  return expected;
}

inline Expected zeros(std::vector<int64_t> shape) {
  Expected expected;
  expected.values.assign(static_cast<size_t>(count_of(shape)), 0.0);
  expected.tolerance = expected.values;
  expected.shape = std::move(shape);
  return expected;
}

inline bool close(float actual, double expected, double tolerance) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == static_cast<float>(expected);
  return std::fabs(static_cast<double>(actual) - expected) <= tolerance;
}

struct Case {
  const char* op;
  std::vector<Tensor> inputs;
  std::vector<gk_attribute> attributes;
  uint32_t constants = 0;  // inputs that may be packed once
  std::string name;
};

// One way to run: outputs as bits behind guards.
struct Result {
  int status = GK_OK;
  std::vector<std::vector<float>> outputs;
};

inline constexpr float kGuard = 12345.678f;

struct Manner {
  bool prepared, parallel;
  uint32_t constants;
};

inline Result run_once(Case& test, const std::vector<Expected>& expected, int32_t isa, Manner manner) {
  Result result;
  Call call;
  for (Tensor& input : test.inputs) call.inputs.push_back(input.raw());
  std::vector<std::vector<int64_t>> shapes;
  for (const Expected& output : expected) {
    shapes.push_back(output.shape);
    result.outputs.emplace_back(output.absent ? 0 : output.values.size() + 32, kGuard);
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    float* data = result.outputs[i].data() + 16;
    call.outputs.push_back(expected[i].absent
                               ? gk_tensor{nullptr, {GK_CPU, 0}, -1, kF32, nullptr, nullptr, 0}
                               : gk_tensor{data, {GK_CPU, 0}, static_cast<int32_t>(shapes[i].size()), kF32,
                                           shapes[i].data(), nullptr, 0});
  }
  call.attributes = test.attributes;
  call.raw.isa = isa;
  ReversedPool pool;
  if (manner.parallel) call.raw.parallel = &pool.raw;
  gk_prepared prepared = {};
  call.raw.prepared = &prepared;
  call.raw.phase = GK_PREPARE;
  call.raw.constant_inputs = manner.constants;
  result.status = gk_run_kernel(test.op, call.get());
  if (result.status != GK_OK) return result;
  std::unique_ptr<char[]> workspace(new char[prepared.workspace_bytes + 64]), packed(new char[prepared.packed_bytes + 64]);
  const auto aligned = [](char* data) { return data + (64 - reinterpret_cast<uintptr_t>(data) % 64) % 64; };
  call.raw.workspace = {aligned(workspace.get()), prepared.workspace_bytes};
  // What was in the memory before must not matter: NaN.
  std::memset(workspace.get(), 0xff, prepared.workspace_bytes + 64);
  std::memset(packed.get(), 0xff, prepared.packed_bytes + 64);
  if (prepared.packed_bytes > 0) {
    call.raw.packed = aligned(packed.get());
    call.raw.phase = GK_PACK;
    CHECK_WITH(gk_run_kernel(test.op, call.get()) == GK_OK, test.name);
  }
  call.raw.phase = GK_RUN;
  if (prepared.workspace_bytes > 0) {
    call.raw.workspace.size -= 1;
    const int status = gk_run_kernel(test.op, call.get());
    CHECK_WITH(status == GK_WORKSPACE_TOO_SMALL, test.name + ": " + gk_status_text(status));
    call.raw.workspace.size += 1;
  }
  if (!manner.prepared) call.raw.prepared = nullptr;
  result.status = gk_run_kernel(test.op, call.get());
  return result;
}

// On every level: alone, prepared, with packed constants, in chunks: the same bits; and close to `expected`.
inline void check(Case test, const std::vector<Expected>& expected) {
  const graphopt::OpDef* def = graphopt::find_op(test.op);
  CHECK_WITH(def != nullptr, test.op);
  for (const int32_t isa : supported_levels()) {
    const std::string where = std::string(test.op) + " " + test.name + " " + gk_isa_name(isa);
    const Result alone = run_once(test, expected, isa, {false, false, 0});
    CHECK_WITH(alone.status == GK_OK, where + ": " + gk_status_text(alone.status));
    if (alone.status != GK_OK) continue;
    for (const Manner manner : {Manner{true, false, 0}, Manner{true, true, 0}, Manner{true, true, test.constants}}) {
      const Result other = run_once(test, expected, isa, manner);
      CHECK_WITH(other.status == GK_OK, where);
      for (size_t i = 0; i < expected.size(); ++i) {
        const bool same = other.outputs[i].empty() || std::memcmp(alone.outputs[i].data(), other.outputs[i].data(),
                                                                  alone.outputs[i].size() * sizeof(float)) == 0;
        CHECK_WITH(same, where + " output " + std::to_string(i) + " differs by how it is run");
      }
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      if (expected[i].absent) continue;
      const std::vector<float>& actual = alone.outputs[i];
      for (size_t j = 0; j < expected[i].values.size(); ++j) {
        const double value = expected[i].values[j], tolerance = expected[i].tolerance[j];
        if (close(actual[16 + j], value, tolerance)) continue;
        CHECK_WITH(false, where + " output " + std::to_string(i) + "[" + std::to_string(j) + "] is " +
                              std::to_string(actual[16 + j]) + ", not " + std::to_string(value) + " ± " +
                              std::to_string(tolerance * 1e6) + "e-6");
        break;
      }
      for (size_t j = 0; j < 16; ++j) {
        CHECK_WITH(actual[j] == kGuard && actual[actual.size() - 1 - j] == kGuard, where + " writes outside");
      }
    }
  }
}

// The shape function agrees with `expected`.
inline void check_shapes(Case& test, const std::vector<Expected>& expected) {
  std::vector<graphopt::Operand> operands;
  const auto dims_of = [](const std::vector<int64_t>& shape) {
    graphopt::Dims dims;
    dims.rank = static_cast<int>(shape.size());
    for (int i = 0; i < dims.rank; ++i) dims[i] = shape[static_cast<size_t>(i)];
    return dims;
  };
  for (const Tensor& input : test.inputs) {
    graphopt::Operand operand;
    if (!input.absent) operand = {true, {input.dtype, dims_of(input.shape)}, nullptr};
    operands.push_back(operand);
  }
  std::vector<graphopt::TensorType> types(expected.size());
  graphopt::ShapeCall call = {
      operands, {test.attributes.data(), static_cast<int>(test.attributes.size())}, types, {}};
  CHECK_WITH(graphopt::find_op(test.op)->shapes(call), test.name + ": " + call.error);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].absent) continue;
    CHECK_WITH(graphopt::text_of(types[i].dims) == graphopt::text_of(dims_of(expected[i].shape)),
               test.name + " output " + std::to_string(i) + " is " + graphopt::text_of(types[i].dims));
  }
}

// Every level refuses the call with `status`.
inline void check_refused(Case test, const std::vector<Expected>& outputs, int status) {
  for (const int32_t isa : supported_levels()) {
    const Result result = run_once(test, outputs, isa, {true, false, 0});
    CHECK_WITH(result.status == status, test.name + ": " + gk_status_text(result.status));
  }
}

}  // namespace floats
