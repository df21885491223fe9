// How cgroups are mounted here and which of them this process is in; parsed from text, so that every layout can be tested.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clawrun::cgroup {

enum class Layout : std::uint8_t { kNone, kV1, kHybrid, kV2 };

struct View {
  // One v1 hierarchy, or the v2 one, in which case `controllers` is empty here (cgroup.controllers names them).
  struct Hierarchy {
    std::vector<std::string> controllers;
    std::string mount_point;
    std::string own_directory;  // of this process, as seen below the mount point
  };
  Layout layout = Layout::kNone;
  std::vector<Hierarchy> v1;
  std::vector<Hierarchy> named;  // v1 without a controller: "name=systemd" in the place of one
  Hierarchy v2;                  // an empty mount_point where v2 is not mounted
};

// From the texts of /proc/self/mountinfo and /proc/self/cgroup (cgroups(7)).
View parse_view(std::string_view mountinfo, std::string_view self_cgroup);

}  // namespace clawrun::cgroup
