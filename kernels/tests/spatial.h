// What the tests of convolutions, pools and norms share: attributes that own their numbers, epilogues, and walking over
// the elements of a window.
#pragma once

#include <list>

#include "float_call.h"

namespace spatial {

enum Opcode : int64_t {
#define GK_OPCODE(number, name, arity) k_##name = number,
#include "cpu/lib/elementwise/opcodes.def"
#undef GK_OPCODE
};

// The attributes of one case.
struct Attributes {
  std::list<std::vector<int64_t>> ints;
  std::list<std::vector<double>> floats;
  std::vector<gk_attribute> all;

  void add(const char* name, std::vector<int64_t> values) {
    if (values.empty()) return;
    ints.push_back(std::move(values));
    all.push_back(floats::integers(name, ints.back()));
  }
  void add(const char* name, int64_t value) { all.push_back(floats::integer(name, value)); }
  void number(const char* name, double value) { all.push_back(floats::number(name, value)); }
  void text(const char* name, const char* value) { all.push_back(floats::text(name, value)); }

  // An epilogue whose result is register `result`; the first extra operand is input `first`.
  void epilogue(std::vector<int64_t> program, int64_t result, int64_t first, std::vector<double> constants = {}) {
    add("epilogue", std::move(program));
    if (!constants.empty()) {
      floats.push_back(std::move(constants));
      all.push_back(floats::numbers("epilogue_constants", floats.back()));
    }
    add("epilogue_result", result);
    add("epilogue_first", first);
  }
};

// Spatial axes of a channels-last shape as depth, height, width.
inline std::vector<int64_t> three(const std::vector<int64_t>& values, size_t spatial, int64_t otherwise) {
  std::vector<int64_t> result(3, otherwise);
  for (size_t i = 0; i < values.size() && i < spatial; ++i) result[3 - spatial + i] = values[i];
  return result;
}

inline std::string text_of(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (const int64_t value : values) text += std::to_string(value) + ",";
  return text + "]";
}

}  // namespace spatial
