// What compiled filters decide for a call, computed as the kernel does it: for tests and `clawrun seccomp test`.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

#include "base/result.h"
#include "seccomp/program.h"

namespace clawrun::seccomp {

// The value that one program returns. A program that the kernel would not take is an error.
Result<std::uint32_t> run_filter(std::span<const sock_filter> filter, const seccomp_data& data);

// The strictest answer of all filters; of equally strict ones the last's.
Result<std::uint32_t> decide(const Compiled& compiled, const seccomp_data& data);

}  // namespace clawrun::seccomp
