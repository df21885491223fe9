// The ids of a sandbox on the host: which they are, their maps, and user namespaces for id-mapped mounts.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "plan/plan.h"

namespace clawrun::launch {

struct HostIds {
  std::vector<plan::IdMapLine> uids;
  std::vector<plan::IdMapLine> gids;
  UniqueFd block;  // holds a lock while the block is used
};

// As uid_map and gid_map want it.
std::string as_text(const std::vector<plan::IdMapLine>& lines);

Result<HostIds> choose_ids(const plan::IdMaps& maps, pid_t pid);

// Writes the maps of the user namespace that `pid`, a child of ours, was cloned into. Not for Outside::kOwn.
Result<> write_maps(const plan::IdMaps& maps, const HostIds& ids, pid_t pid);

// A user namespace that maps what is on disk to what the sandbox's user is on the host: mount_setattr(2) MOUNT_ATTR_IDMAP.
Result<UniqueFd> ownership_namespace(const plan::Ownership& ownership, const plan::Plan& plan, const HostIds& ids);

// A user namespace with these maps, for mount_setattr(2) MOUNT_ATTR_IDMAP: nobody is in it.
Result<UniqueFd> mapped_namespace(const std::vector<plan::IdMapLine>& uids, const std::vector<plan::IdMapLine>& gids);

// What the sandbox's user and group are on the host.
plan::Ownership host_owner(const plan::Plan& plan, const HostIds& ids);

}  // namespace clawrun::launch
