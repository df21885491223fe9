// How an interpreter is started so that it waits for its code, and how the code is laid out for it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::pool {

// Every driver runs the prime script, writes one byte to descriptor 4, and closes it; waits for one line on standard input; then
// reads what compose() made from descriptor 3, and closes that. The code finds the rest of standard input.
struct Driver {
  std::string_view name;  // of the interpreter
  std::vector<std::string> (*command)(const std::string& interpreter, const std::string& prime);
  // `variables` are "NAME=VALUE".
  Result<std::string> (*compose)(std::span<const std::string> variables, std::string_view code);
};

// By the last part of a path; an error names those that are known.
Result<const Driver*> find_driver(std::string_view interpreter);

std::string known_interpreters();

}  // namespace clawrun::pool
