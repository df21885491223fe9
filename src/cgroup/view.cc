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

// Where a mount is in the tree of mounts: the fields 1, 2 and 5 of its line in /proc/self/mountinfo.
struct Position {
  std::string_view id;
  std::string_view parent;
  std::string_view point;
};

bool is_at_or_above(std::string_view point, std::string_view other) {
  return other.starts_with(point) && (point == "/" || point.size() == other.size() || other[point.size()] == '/');
}

// Whether the mount's path leads to another mount: one that lies over it, or over a folder on the way to it.
bool is_covered(const std::vector<Position>& mounts, Position mount) {
  std::vector<Position> on_the_way;
  for (const Position& other : mounts)
    if (is_at_or_above(other.point, mount.point)) on_the_way.push_back(other);
  if (std::ranges::any_of(on_the_way, [&](const Position& top) { return top.parent == mount.id && top.point == mount.point; }))
    return true;
  for (std::size_t steps = 0; steps < on_the_way.size(); ++steps) {
    // Of two mounts on one parent the one nearer to its root is met first.
    if (std::ranges::any_of(on_the_way, [&](const Position& first) {
          return first.parent == mount.parent && first.id != mount.id && is_at_or_above(first.point, mount.point);
        }))
      return true;
    const auto parent = std::ranges::find(on_the_way, mount.parent, &Position::id);
    if (parent == on_the_way.end()) return false;
    mount = *parent;
  }
  return false;
}

// The fields are taken apart up to the fifth only: there may be thousands of mounts.
std::vector<Position> positions(const std::vector<std::string_view>& lines) {
  std::vector<Position> found;
  found.reserve(lines.size());
  for (const std::string_view line : lines) {
    std::string_view fields[5];
    std::size_t begin = 0;
    for (std::string_view& field : fields) {
      const std::size_t end = std::min(line.find(' ', begin), line.size());
      field = line.substr(begin, end - begin);
      begin = std::min(end + 1, line.size());
    }
    if (!fields[4].empty()) found.push_back({fields[0], fields[1], fields[4]});
  }
  return found;
}

bool is_v1_controller(std::string_view word) {
  return std::ranges::find(kV1Controllers, word) != std::end(kV1Controllers);
}

}  // namespace

View parse_view(std::string_view mountinfo, std::string_view self_cgroup) {
  View view;
  const auto lines = split(mountinfo, '\n');
  const std::vector<Position> mounts = positions(lines);
  for (const std::string_view line : lines) {
    if (line.find(" - cgroup") == std::string_view::npos) continue;  // only these are worth taking apart
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 10 || fields.end() - dash < 4) continue;
    const std::string_view fstype = dash[1];
    if (is_covered(mounts, {fields[0], fields[1], fields[4]})) continue;
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
