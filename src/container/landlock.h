// Landlock for OCI containers, which the specification does not know: the annotation run.clawrun.landlock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/config.h"

namespace clawrun::container {

// The words of the annotation, separated by blanks or commas:
//   on        below "/" files may be read and executed; written only in /proc and /dev. Abstract sockets and signals end at the
//             container's own processes (Linux 6.12)
//   rw:PATH   and below PATH everything may be done, as far as modes and mounts allow it
//   no-tcp    TCP ports may neither be bound nor connected to (Linux 6.7)
// Each of them means `on` as well; "off", alone, is as if there were no annotation.
struct Landlock {
  std::vector<std::string> writable;
  bool refuses_tcp = false;
};

// nullopt: not asked for. An unknown word is an error of kind kInvalid that names the annotation. Pure.
Result<std::optional<Landlock>> landlock_of(const oci::Config& config);

// Of this process and all that it executes; needs no_new_privs or CAP_SYS_ADMIN, and the container's root to be the root. What
// the kernel cannot give is an error.
Result<> enter_landlock(const Landlock& landlock);

}  // namespace clawrun::container
