// Errors of the executor: a status for the caller and one line for a person. Thrown inside, caught at the C ABI.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "graphopt/graphopt.h"

namespace graphopt {

struct Failure : std::runtime_error {
  Failure(int code, const std::string& text) : std::runtime_error(text), status(code) {}
  int status; // gk_status, not GK_OK
};

// The plan or the call does not fit.
[[noreturn]] inline void refuse(const std::string& text) { throw Failure(GK_INVALID_ARGUMENT, text); }

inline std::string quoted(std::string_view name) {
  std::string text = "'";
  text += name;
  text += '\'';
  return text;
}

}  // namespace graphopt
