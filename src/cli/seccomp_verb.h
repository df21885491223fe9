// `clawrun seccomp list|show|compile|test`: what the profiles hold and what they decide.
#pragma once

#include <span>

#include "base/result.h"

namespace clawrun::cli {

// `args` are the words after `seccomp`. Returns the exit code: of `test` 0 for an allowed call and 1 for a refused one.
Result<int> seccomp_verb(std::span<char* const> args);

}  // namespace clawrun::cli
