// What a plan knows of an operator besides its kernel: the shapes of its results, and which memory it can
// share. One file per operator in ops/; baseline code.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graphopt/graphopt.h"

namespace graphopt {

constexpr int kMaxRank = 8;

struct Dims {
  int rank = 0;
  int64_t at[kMaxRank] = {};

  int64_t& operator[](int axis) { return at[axis]; }
  int64_t operator[](int axis) const { return at[axis]; }
};

struct TensorType {
  gk_dtype dtype = {};
  Dims dims;
};

// An input of a step while shapes are resolved.
struct Operand {
  bool present = false;        // false: the step leaves it out
  TensorType type;
  const void* value = nullptr; // row-major contents where they are known by now (constants, shape arithmetic)
};

// The attributes of a step, by name.
class AttributeView {
 public:
  AttributeView() = default;
  AttributeView(const gk_attribute* data, int count) : data_(data), count_(count) {}

  const gk_attribute* find(std::string_view name, gk_attribute_kind kind) const {
    for (int i = 0; i < count_; ++i) {
      if (data_[i].kind == kind && name == data_[i].name) return &data_[i];
    }
    return nullptr;
  }
  int64_t integer(std::string_view name, int64_t otherwise) const {
    const gk_attribute* found = find(name, GK_ATTRIBUTE_INT);
    return found == nullptr ? otherwise : found->value.i;
  }
  double number(std::string_view name, double otherwise) const {
    const gk_attribute* found = find(name, GK_ATTRIBUTE_FLOAT);
    return found == nullptr ? otherwise : found->value.f;
  }
  std::string_view text(std::string_view name, std::string_view otherwise) const {
    const gk_attribute* found = find(name, GK_ATTRIBUTE_STRING);
    return found == nullptr ? otherwise : std::string_view(found->value.s, static_cast<size_t>(found->length));
  }
  bool has(std::string_view name) const {
    for (int i = 0; i < count_; ++i) {
      if (name == data_[i].name) return true;
    }
    return false;
  }
  std::span<const int64_t> integers(std::string_view name) const {
    const gk_attribute* found = find(name, GK_ATTRIBUTE_INTS);
    return found == nullptr ? std::span<const int64_t>()
                            : std::span(found->value.ints, static_cast<size_t>(found->length));
  }
  std::span<const double> numbers(std::string_view name) const {
    const gk_attribute* found = find(name, GK_ATTRIBUTE_FLOATS);
    return found == nullptr ? std::span<const double>()
                            : std::span(found->value.floats, static_cast<size_t>(found->length));
  }

 private:
  const gk_attribute* data_ = nullptr;
  int count_ = 0;
};

// One question "which dtypes and shapes come out?". Everything in it is untrusted: counts, ranks, sizes and
// attributes are checked by the operator, which answers false with a one-line reason when they do not fit.
struct ShapeCall {
  std::span<const Operand> inputs;
  AttributeView attributes;
  std::span<TensorType> outputs; // as many as the step has; the operator fills them
  std::string error;

  bool fail(std::string why) {
    error = std::move(why);
    return false;
  }
  bool has(size_t input) const { return input < inputs.size() && inputs[input].present; }
  // The contents of an integer input (int64 or int32), or false where they are not known or too many.
  bool integers(size_t input, std::vector<int64_t>* values) const;
  // The contents of a float32 input.
  bool numbers(size_t input, std::vector<double>* values) const;
};

// Where the elements of an output lie in the memory of input 0.
struct ViewOf {
  Dims strides;       // elements; the rank is the output's
  int64_t offset = 0; // elements
};

// One question "can the outputs be views of input 0?". `strides` are those of input 0; types are known.
struct ViewCall {
  std::span<const Operand> inputs;
  AttributeView attributes;
  Dims strides;
  std::span<const TensorType> types; // of the outputs
  std::span<ViewOf> views;           // one per output; the operator fills them
};

struct OpDef {
  const char* name;
  bool (*shapes)(ShapeCall&);
  // For an operator that only looks at its input in another way. Always answers true where the input is
  // compact; elsewhere false means: copy the input first. Such an operator has no kernel.
  bool (*view)(ViewCall&) = nullptr;
  uint32_t strided_inputs = 0;  // bit i: the kernel takes input i with any strides
  uint32_t strided_outputs = 0; // bit i: the kernel writes output i with any strides
  // The same for rows only: the last axis is contiguous, all before it are one axis with one distance of rows, at
  // least their length.
  uint32_t row_strided_inputs = 0, row_strided_outputs = 0;
  const char* rows_if = nullptr; // rows only where this attribute is not 0
  uint32_t in_place = 0;        // bit i: output 0 may lie in the memory of input i, if of the same dims and compact
  bool reads_types_only = false; // the results depend on the inputs' dtypes and shapes, never on their contents
};

// The operator of a plan's step, or null.
const OpDef* find_op(std::string_view name);

// ---- shared by the operators' shape functions ----

// Elements; -1 where a dim is negative or the product does not fit.
int64_t element_count(const Dims& dims);

// The shape that all broadcast to (numpy's rules); false where they do not.
bool broadcast(std::initializer_list<const Dims*> shapes, Dims* result);

// `axis` counted from the front; -1 where it is out of range.
int normalized_axis(int64_t axis, int rank);

// "[1,3,224,224]", for messages.
std::string text_of(const Dims& dims);

}  // namespace graphopt
