#include "cgroup/view.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::cgroup {

namespace {

constexpr std::string_view kV1Controllers[] = {"cpu",   "cpuacct", "cpuset",  "memory",   "pids",       "devices", "freezer",
                                               "blkio", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma",    "misc"};

// One line of /proc/self/cgroup: "number:controller,controller:path"; the v2 line is "0::path".
std::string path_of(std::string_view self_cgroup, std::string_view controller) {
  for (const std::string_view line : split(self_cgroup, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const auto parts = split(names, ',');
    if (std::ranges::find(parts, controller) != parts.end()) return std::string(line.substr(second + 1));
  }
  return "/";
}

std::string directory_of(std::string_view mount_point, std::string_view mount_root, std::string path) {
  // A bind mount of a part of the hierarchy shows paths from that part on; outside of it only the mount point is left.
  if (mount_root != "/" && path.starts_with(mount_root)) {
    path.erase(0, mount_root.size());
  } else if (mount_root != "/" || path.starts_with("/..")) {
    path.clear();
  }
  std::string directory(mount_point);
  if (path != "/") directory += path;
  return directory;
}

bool is_v1_controller(std::string_view word) {
  return std::ranges::find(kV1Controllers, word) != std::end(kV1Controllers);
}

}  // namespace

View parse_view(std::string_view mountinfo, std::string_view self_cgroup) {
  View view;
  for (const std::string_view line : split(mountinfo, '\n')) {
    if (line.find(" - cgroup") == std::string_view::npos) continue;  // only these are worth taking apart
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 10 || fields.end() - dash < 4) continue;
    const std::string_view fstype = dash[1];
    if (fstype == "cgroup2" && view.v2.mount_point.empty()) {
      view.v2.mount_point = fields[4];
      view.v2.own_directory = directory_of(fields[4], fields[3], path_of(self_cgroup, ""));
    }
    if (fstype != "cgroup") continue;
    View::Hierarchy hierarchy;
    for (const std::string_view option : split(dash[3], ','))
      if (is_v1_controller(option)) hierarchy.controllers.emplace_back(option);
    std::string name;  // of a hierarchy that limits nothing
    for (const std::string_view option : split(dash[3], ','))
      if (option.starts_with("name=")) name = option;
    if (hierarchy.controllers.empty() && name.empty()) continue;
    if (hierarchy.controllers.empty()) hierarchy.controllers.push_back(name);
    hierarchy.mount_point = fields[4];
    hierarchy.own_directory = directory_of(fields[4], fields[3], path_of(self_cgroup, hierarchy.controllers.front()));
    (name.empty() ? view.v1 : view.named).push_back(std::move(hierarchy));
  }
  const bool has_v2 = !view.v2.mount_point.empty();
  view.layout = view.v1.empty() ? (has_v2 ? Layout::kV2 : Layout::kNone) : has_v2 ? Layout::kHybrid : Layout::kV1;
  return view;
}

}  // namespace clawrun::cgroup
