// The verbs: the one table behind dispatch, `clawrun help` and the completions.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace clawrun::cli {

// What a verb's completion knows beyond its options and fixed words.
enum class Operands : unsigned char { kNone, kSandboxes };

struct Verb {
  std::string_view name;
  std::string_view summary;
  Result<int> (*run)(
      std::span<char* const> args);  // nullptr: exec and the verbs over OCI containers, which have exit codes of their own
  std::string_view words;            // its subcommands, separated by spaces, for the completions
  Operands operands = Operands::kNone;
};

std::span<const Verb> verbs();

// `args` are the words after the name of the program. Returns the exit status; errors have been printed.
int run(std::span<char* const> args);

}  // namespace clawrun::cli
