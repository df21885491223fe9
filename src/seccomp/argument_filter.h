// The part of a filter that looks at arguments, which goes in front of the part that libseccomp makes.
//
// It is written here and not by libseccomp, because libseccomp cannot say what such profiles need: "otherwise" (EPERM where
// no condition holds, in a profile whose default is ENOSYS), an allowed call with refused arguments, and an order between
// rules that overlap.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "seccomp/table.h"

namespace clawrun::seccomp {

// Answers for the calls whose answer depends on their arguments, and falls through to what follows it for all others.
Result<std::vector<sock_filter>> compile_argument_part(const Table& table);

}  // namespace clawrun::seccomp
