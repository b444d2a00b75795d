// The opcodes of elementwise programs for baseline code: shape functions and bindings.
#pragma once

#include <cstdint>

namespace graphopt {

struct OpcodeInfo {
  const char* name;
  int number, arity;
};

inline constexpr OpcodeInfo kOpcodes[] = {
#define GK_OPCODE(number, name, arity) {#name, number, arity},
#include "cpu/lib/elementwise/opcodes.def"
#undef GK_OPCODE
};

inline constexpr int64_t opcode_number(const char* name) {
  for (const OpcodeInfo& info : kOpcodes) {
    const char *a = info.name, *b = name;
    for (; *a != '\0' && *a == *b; ++a, ++b) {
    }
    if (*a == *b) return info.number;
  }
  return -1;
}

inline constexpr int64_t kCastOpcode = opcode_number("cast");
inline constexpr int64_t kFirstBoolOpcode = opcode_number("equal"), kLastBoolOpcode = opcode_number("is_inf_positive");

inline bool is_cast(int64_t opcode) { return opcode == kCastOpcode; }

// Comparisons and the like.
inline bool gives_bool(int64_t opcode) { return opcode >= kFirstBoolOpcode && opcode <= kLastBoolOpcode; }

}  // namespace graphopt
