// The instructions that answer one call by its arguments.
//
// They are written here and not by libseccomp, because libseccomp cannot say what such profiles need: "otherwise" (EPERM where
// no condition holds, in a profile whose default is ENOSYS), an allowed call with refused arguments, and an order between
// rules that overlap.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "seccomp/table.h"

namespace clawrun::seccomp {

// Ends with an answer on each way through. The accumulator is overwritten.
Result<std::vector<sock_filter>> compile_answers(const Answers& answers);

}  // namespace clawrun::seccomp
