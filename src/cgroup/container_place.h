// Where the cgroups of an OCI container are: linux.cgroupsPath in every hierarchy that is mounted here.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"
#include "cgroup/place.h"
#include "cgroup/view.h"

namespace clawrun::cgroup {

struct ContainerPlaceRequest {
  DriverChoice driver = DriverChoice::kCgroupfs;  // kSystemd, or cgroupfs
  // linux.cgroupsPath. cgroupfs: from the root of each hierarchy ("/a/b") or below the caller's own group ("a/b"), the leaf being
  // that very directory; empty: the id below the caller's own group. systemd: "slice:prefix:name"; empty: "clawrun-ID.scope".
  std::string path;
  std::string id;
  const Limits* limits = nullptr;  // what was asked for: a controller that it needs and cannot have is an error
  std::string description;         // systemd
  std::vector<std::pair<std::string, std::string>> properties;  // systemd: annotations org.systemd.property.*
};

// A container is in a group of each hierarchy of v1, and of v2 beside them: so it can be paused, counted and killed by anybody
// who knows one of them. A hierarchy that this user may not use is left out where nothing was asked of it, and with it, at worst,
// every one: then !usable(). An error names the member of linux.resources and the remedy. Thread-safe.
Result<Place> find_container_place(const View& view, const ContainerPlaceRequest& request);

// Whether this process is in a user namespace that is not the host's: device policies and much else are not its to set.
bool in_user_namespace();

}  // namespace clawrun::cgroup
