// What a process needs to enter the cgroups of a container that runs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/location.h"

namespace clawrun::cgroup {

struct Joining {
  UniqueFd v2;  // the directory, for CLONE_INTO_CGROUP; -1: there is none
  // Files to which the new process, while it is a single thread, writes "0". Where `v2` has served, `v2_procs` is left out.
  UniqueFd v2_procs;
  std::vector<UniqueFd> v1;
};

struct JoinRequest {
  // Below the container's own groups: "a/b", which must be there, or on v1 also "cpu,memory:a/b" for these hierarchies alone.
  // "/" is the container's own group, whatever is in it.
  std::string subgroup;
  // The container's first process. Where the container has made groups of its own (systemd in it), its top group takes no process
  // any more, and the new one goes where the first is: that must be in or below the container's group. 0: not asked.
  pid_t init = 0;
};

// An empty location gives nothing to join.
Result<Joining> open_for_joining(const Location& location, const JoinRequest& request);

}  // namespace clawrun::cgroup
