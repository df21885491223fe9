// What /proc/PID/stat says of a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "state/state.h"

namespace clawrun::state {

struct Stat {
  char condition = 0;  // 'R', 'S', 'Z', …
  std::uint64_t start_ticks = 0;
  // Of the processor, with those of the children that it has waited for.
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
};

// proc_pid_stat(5). The name in it may hold blanks, parentheses and line ends; it ends with the last parenthesis.
Result<Stat> parse_stat(std::string_view text);

// kNotFound where there is no such process.
Result<Stat> read_stat(pid_t pid);

// Whether an error of pidfd_open(2) means that there is no such process. A number that is left as a session's or a group's alone
// is none: EINVAL, ENOENT since Linux 6.15.
bool is_gone(const Error& error);

// As records have it; what is not known is left out.
std::string to_json(const Process& process);

}  // namespace clawrun::state
