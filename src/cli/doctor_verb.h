// `clawrun doctor`: what this host allows, what is lost and what mends it.
#pragma once

#include <span>

#include "base/result.h"

namespace clawrun::cli {

// `args` are the words after `doctor`. The exit status: 0 where `exec` works here, 1 where it does not.
Result<int> doctor_verb(std::span<char* const> args);

}  // namespace clawrun::cli
