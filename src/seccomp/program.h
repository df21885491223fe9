// The result of compiling a profile: the programs that seccomp(2) takes.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace clawrun::seccomp {

struct Compiled {
  std::string name;
  // To be loaded in this order, all of them: the kernel applies the strictest answer, and of equally strict ones the last's.
  std::vector<std::vector<sock_filter>> filters;
  // execve passes only with a cookie: set_start_cookie must be called on a fresh copy for each start, before loading.
  bool has_start_cookie = false;
  unsigned flags = 0;  // for seccomp(2)
  std::vector<std::string> unknown_syscalls;
};

// The number of instructions of all filters together.
std::size_t instruction_count(const Compiled& compiled);

// Between 1 and BPF_MAXINSNS instructions in each of one to eight filters.
Result<> check_sizes(const Compiled& compiled);

// Puts the secret of one start in the place of kStartCookiePlaceholder. Works once on each copy; draw the cookie from
// getrandom(2), and pass it as the sixth argument of a raw execve (or of execveat). Does nothing without has_start_cookie.
void set_start_cookie(Compiled& compiled, std::uint64_t cookie);

}  // namespace clawrun::seccomp
