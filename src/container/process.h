// The side of a start that becomes the container's process: the order of things, each with its reason.
#pragma once

#include <sched.h>

#include <string>
#include <vector>

#include "container/confine.h"
#include "container/launch.h"
#include "container/mount.h"
#include "container/namespaces.h"
#include "oci/config.h"

namespace clawrun::container {

// New namespaces that the process makes itself, and not its clone: the cgroup namespace takes the group that it is in by then for
// its root, offsets of a time namespace are written before anybody is in it, and a network namespace takes long.
inline constexpr std::uint64_t kMadeInside =
    static_cast<std::uint64_t>(CLONE_NEWCGROUP) | 0x80 /* CLONE_NEWTIME */ | CLONE_NEWNET;

// Whether the runtime must do something between the mounts and the change of the root.
bool has_runtime_hooks(const oci::Config& config);

// In the process that was cloned for a new container, or, where namespaces are joined, in the one before it. Never returns.
struct FirstProcess {
  const oci::Config& config;
  const Launch& launch;
  const Namespaces& namespaces;
  Site& site;  // `opened` is filled
  int sync = -1;
  // Namespaces are joined and a user namespace is made first, by a process that then clones the container's with CLONE_PARENT.
  bool staged = false;
};
[[noreturn]] void run_first(const FirstProcess& first);

struct JoiningProcess {
  const oci::Config& config;
  const oci::Process& process;
  const Join& join;
  const Namespaces& namespaces;
  int sync = -1;
};
[[noreturn]] void run_joining(const JoiningProcess& joining);

// clone3(2) without shared memory: the caller is a short-lived command with one thread. 0 in the new process.
struct CloneOptions {
  std::uint64_t flags = 0;
  int cgroup = -1;
  int* pidfd = nullptr;
};
Result<pid_t> clone_process(const CloneOptions& options);

}  // namespace clawrun::container
