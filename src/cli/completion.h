// Completions for bash, zsh and fish, made from the same tables as the command line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace clawrun::cli {

struct VerbOption {
  std::string verb;
  std::string name;     // with its dashes
  std::string metavar;  // "" where it takes no value
};

// Every option of every verb: what the house tests hold against the man pages.
std::vector<VerbOption> all_options();

// `args`: bash, zsh or fish. Prints the script.
Result<int> completion_verb(std::span<char* const> args);

// Prints one option a line: "VERB --name METAVAR".
Result<int> options_verb(std::span<char* const> args);

}  // namespace clawrun::cli
