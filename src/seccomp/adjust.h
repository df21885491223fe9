// Small changes to compiled filters that depend on how a sandbox is started.
#pragma once

#include <linux/filter.h>

#include <span>
#include <vector>

#include "seccomp/program.h"

namespace clawrun::seccomp {

// Lets every execve pass that the start cookie would have to open: something else (Landlock) tells programs apart then.
void ignore_start_cookie(Compiled& compiled);

// Refuses prctl(PR_SET_PDEATHSIG) and the entries of other architectures with EPERM, and allows all else: for a command that
// is pid 1 itself, whose end with its supervisor depends on that signal.
std::vector<sock_filter> keep_parent_death_signal();

// Refuses with EPERM to give a file the set-user-ID or set-group-ID bit, by whatever call (openat2, whose mode lies in memory,
// answers ENOSYS), and the entries of other architectures: for a sandbox that may write to a directory of the caller, where
// such a file would have the caller's identity.
std::vector<sock_filter> refuse_set_id_files();

// What that filter looks at, for whoever says the same in other words.
struct SetIdCall {
  const char* name;
  unsigned mode;  // which argument
  int flags;      // which one says whether a file is made at all; -1: always
};
std::span<const SetIdCall> set_id_calls();

// Their modes lie in memory, which a filter cannot read.
inline constexpr const char* kSetIdInMemory[] = {"openat2", "io_uring_setup"};

}  // namespace clawrun::seccomp
