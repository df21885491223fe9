// The helper programs of the command, which it starts where a task needs what a static program cannot have, or need not carry.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::sys {

struct HelperProgram {
  UniqueFd file;     // O_PATH: what was checked is what is run
  std::string path;  // for messages
};

// clawrun-NAME: the installed one, or the one of the build tree or the unpacked archive that this program is in. The error is of
// kind kUnsupported, and lists where it was looked for.
Result<HelperProgram> find_helper(const std::string& name);

}  // namespace clawrun::sys
