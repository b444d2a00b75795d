// A plan as it lies in its file, checked: values, and programs of steps over them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "executor/block.h"
#include "executor/op.h"

namespace graphopt {

enum class ValueKind : uint8_t {
  kIntermediate = 0,
  kInput = 1,
  kConstant = 2,
  kShapeInput = 3, // an input whose contents decide shapes
};

struct PlanValue {
  std::string name;
  gk_dtype dtype = {};
  ValueKind kind = ValueKind::kIntermediate;
  bool has_rank = false; // always of a constant; of an intermediate value only where the model declares a shape
  Dims dims;             // but for a constant's a dim may be -1 (any size) or -2-k (the size of symbol k)
  const void* data = nullptr; // of a constant; aligned for its dtype
};

struct Program;

struct Step {
  std::string name; // of the node it comes from
  std::string op;
  const OpDef* def = nullptr;
  gk_kernel kernel = nullptr; // null: a view, or `if`
  std::vector<int32_t> inputs, outputs; // values; -1 is one left out; none at the end
  std::vector<gk_attribute> attributes;
  std::string_view attribute_bytes; // as in the file: steps with the same bytes have the same attributes
  std::vector<Program> programs;    // of `if`: then, else
};

struct Program {
  std::vector<uint32_t> inputs, outputs; // values
  std::vector<Step> steps;
};

struct PlanData {
  int32_t isa = GK_ISA_BEST;
  std::vector<PlanValue> values;
  std::vector<std::string> symbols;
  Program program;
  gk_kernel copy = nullptr; // the kernel `copy`, where this build has it
  // What the attributes and misaligned constants point at.
  std::vector<std::unique_ptr<char[]>> attribute_memory;
  std::vector<Block> constants;
};

}  // namespace graphopt
