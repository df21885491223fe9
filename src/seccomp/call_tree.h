// A whole filter: a balanced search for the number of the call among ranges that share an answer.
//
// What the kernel does with a filter before it runs it (checks, translation, a dry run for each syscall number:
// seccomp_cache_prepare) grows with its length, and every start of a sandbox pays that. Neighbouring calls mostly share an
// answer, so ranges need a fifth of the comparisons that one for each call would, which is what libseccomp writes.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "seccomp/table.h"

namespace clawrun::seccomp {

Result<std::vector<sock_filter>> compile_calls(const Table& table);

}  // namespace clawrun::seccomp
