// From linux.seccomp of config.json to the BPF programs that seccomp(2) takes.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/config.h"
#include "seccomp/table.h"

namespace clawrun::oci {

struct SeccompPrograms {
  // To be loaded in this order, all of them; none: no filter was asked for. One, unless a profile outgrows BPF_MAXINSNS: then
  // each decides some of the calls and allows the others, and the one that decides about seccomp(2) itself comes last.
  std::vector<std::vector<sock_filter>> programs;
  // SECCOMP_FILTER_FLAG_* for each load. Without TSYNC, which has nothing to do in a child of one thread (and which the kernel
  // refuses beside a listener), and without what is for a listener only.
  unsigned flags = 0;
  // SCMP_ACT_NOTIFY is used: the last program is to be loaded with `flags | listener_flags`, which has NEW_LISTENER, and
  // seccomp(2) returns the listener.
  bool notify = false;
  unsigned listener_flags = 0;
  std::vector<std::string> unknown_syscalls;  // names that no kernel we know has, each once; their rules do nothing
};

struct SeccompOptions {
  bool fail_unknown_syscall = false;  // the annotation run.oci.seccomp_fail_unknown_syscall
  unsigned kernel_flags = ~0U;        // SECCOMP_FILTER_FLAG_* that this kernel takes
  seccomp::Arch native = seccomp::kNativeArch;
};

// What a program answers:
// - An architecture of the list, and always the native one: the rules, by its own numbers. Another one: the thread is killed,
//   as by libseccomp. Architectures of other machines are checked by name only.
// - Of several rules for a call the first without conditions counts, alone, as in libseccomp. Else of those that hold the
//   strictest, in the kernel's order (libseccomp's choice there depends on the order of arguments); where none holds, the
//   default action. A rule whose action is the default one is as if it were not there, as in runc and crun.
// - Several conditions on one argument in a rule are alternatives, and then all of the rule's are, as in runc.
// - i386's socketcall(2) and ipc(2) are ruled by the rules for the calls they stand for. Conditions cannot be looked at there,
//   since the arguments lie in memory: the strictest answer that the rules could give is given. (libseccomp compares the wrong
//   arguments.)
// - Where the default action refuses, numbers above the highest of a call that the profile names answer ENOSYS, as in runc: so
//   that a libc falls back where a profile is older than a call. (runc does so for the listed architectures only.)
// - As in runc, write(2) and the default action cannot be SCMP_ACT_NOTIFY: whoever hands the listener on has to write.
//
// An error begins with the path of what is wrong: `linux.seccomp.syscalls[3].action: …`. Pure; thread-safe.
Result<SeccompPrograms> compile_seccomp(const Seccomp& config, const SeccompOptions& options = {});

}  // namespace clawrun::oci
