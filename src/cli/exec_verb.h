// `clawrun exec`: a fresh sandbox for one command.
#pragma once

#include <span>
#include <string>

namespace clawrun::cli {

// `args` are the words after `exec`. Returns the exit status (tables/exit_codes.h); its own errors go to stderr.
int exec_verb(std::span<char* const> args);

// The text of `clawrun exec --help`.
std::string exec_help();

}  // namespace clawrun::cli
