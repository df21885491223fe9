// What annotations ask of the runtime: those of crun (crun(1), "EXTENSIONS TO OCI"), each taken at its word or refused.
#pragma once

#include <linux/filter.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/config.h"

namespace clawrun::oci {

struct Annotated {
  std::string hooks_stdout;               // files that the output of hooks is appended to; ""
  std::string hooks_stderr;               //
  std::string pidfd_receiver;             // a socket that gets the pidfd of the first process; ""
  std::string seccomp_receiver;           // where linux.seccomp.listenerPath is missing; ""
  std::string mount_context = "context";  // the mount option that linux.mountLabel becomes
  bool fails_unknown_syscall = false;
  bool keeps_groups = false;                                // of the caller: setgroups(2) is left out
  std::optional<std::vector<sock_filter>> seccomp_program;  // in the place of linux.seccomp
};

// An annotation that nobody knows is ignored, as config.md wants it. One that is known and has a value that it cannot have, or
// asks for what clawrun does not do, is an error with its name and the reason. Pure.
Result<Annotated> annotations_of(const Config& config);

// Those that change what a container is or may do, or name files of the host: for potentiallyUnsafeConfigAnnotations.
std::vector<std::string_view> unsafe_annotations();

}  // namespace clawrun::oci
