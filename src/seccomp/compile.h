// From a profile to BPF.
#pragma once

#include <string_view>

#include "seccomp/program.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

// The filter answers ENOSYS to the other entries of the machine: i386 and x32, or 32-bit ARM. The result has been run
// against the table for every number before it is returned.
Result<Compiled> compile_profile(const Profile& profile, std::string_view name, const Target& target);

}  // namespace clawrun::seccomp
