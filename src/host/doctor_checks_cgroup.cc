// Cgroups: the layout, and which limits this caller may set.
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "host/cgroup_view.h"
#include "host/doctor_checks.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

struct LimitRow {
  std::string_view controller;  // its name in v2
  std::string_view v1_controller;
  std::string_view options;
};
constexpr LimitRow kLimits[] = {
    {"memory", "memory", "--memory"}, {"cpu", "cpu", "--cpus"}, {"pids", "pids", "--pids"}, {"cpuset", "cpuset", "--cpuset"}};

constexpr const char* kUserManagerRemedy =
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log in again";

bool is_writable(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

bool can_make_groups(const std::string& directory) {
  return is_writable(directory) && is_writable(directory + "/cgroup.procs");
}

bool has_systemd() {
  return exists("/run/systemd/system");
}

// The group in which a user's systemd manager may make groups; "" where there is none.
std::string user_manager_directory(const CgroupView& view, std::uint32_t uid) {
  const std::string user = std::to_string(uid);
  const std::string directory = view.v2.mount_point + "/user.slice/user-" + user + ".slice/user@" + user + ".service";
  return can_make_groups(directory) ? directory : std::string();
}

Check layout_check(const CgroupView& view) {
  Check check{.id = "cgroup.layout", .title = "cgroup layout", .status = Check::Status::kOk};
  switch (view.layout) {
    case CgroupLayout::kV2:
      check.found = "v2 at " + view.v2.mount_point;
      return check;
    case CgroupLayout::kHybrid:
      check.found = "hybrid: v1 controllers, v2 at " + view.v2.mount_point + " without them";
      break;
    case CgroupLayout::kV1:
      check.found = "v1";
      break;
    case CgroupLayout::kNone: {
      constexpr auto kCgroup2Magic = 0x63677270;
      struct statfs status {};
      const bool hidden = statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == kCgroup2Magic;
      check.found = hidden ? "v2 at /sys/fs/cgroup, not in the list of mounts" : "not mounted";
      break;
    }
  }
  check.status = view.layout == CgroupLayout::kNone ? Check::Status::kMissing : Check::Status::kDegraded;
  check.lost = view.layout == CgroupLayout::kNone ? "every limit by cgroup"
                                                  : "delegation to users, starting inside a cgroup, killing one as a whole";
  check.remedy = view.layout == CgroupLayout::kNone ? "mount -t cgroup2 none /sys/fs/cgroup"
                 : has_systemd()                    ? "boot with systemd.unified_cgroup_hierarchy=1"
                                                    : "boot with cgroup_no_v1=all and mount -t cgroup2 none /sys/fs/cgroup";
  return check;
}

struct Limits {
  std::string directory;  // where groups can be made; "" for nowhere
  std::vector<std::string> there;
  std::vector<std::string> lacking;  // the options that need what is not there
};

Limits v2_limits(const CgroupView& view, std::uint32_t uid) {
  Limits limits;
  limits.directory = can_make_groups(view.v2.own_directory) ? view.v2.own_directory : user_manager_directory(view, uid);
  const std::string controllers =
      limits.directory.empty() ? std::string() : read_or_empty((limits.directory + "/cgroup.controllers").c_str());
  const auto words = split(controllers, ' ');
  for (const LimitRow& row : kLimits) {
    const bool present = std::ranges::find(words, row.controller) != words.end();
    (present ? limits.there : limits.lacking).emplace_back(present ? row.controller : row.options);
  }
  return limits;
}

Limits v1_limits(const CgroupView& view) {
  Limits limits;
  for (const LimitRow& row : kLimits) {
    const bool present = std::ranges::any_of(view.v1, [&row](const CgroupView::Hierarchy& hierarchy) {
      return std::ranges::find(hierarchy.controllers, row.v1_controller) != hierarchy.controllers.end() &&
             can_make_groups(hierarchy.own_directory);
    });
    (present ? limits.there : limits.lacking).emplace_back(present ? row.controller : row.options);
    if (present) limits.directory = "the v1 hierarchies";
  }
  return limits;
}

std::string limits_remedy(const DoctorContext& context, const CgroupView& view, const Limits& limits) {
  if (view.layout == CgroupLayout::kNone) return "mount -t cgroup2 none /sys/fs/cgroup";
  if (context.surroundings.kind != Surrounding::kNone && context.facts.uid == 0)
    return std::string(loosening(context.surroundings.kind).cgroup);
  if (context.facts.privileged) {
    if (limits.directory.empty())
      return "mount -o remount,rw " + (view.v2.mount_point.empty() ? "/sys/fs/cgroup" : view.v2.mount_point);
    return "run a kernel with these controllers, and boot without cgroup_disable=";
  }
  if (view.layout != CgroupLayout::kV2) return "run clawrun as root, or boot with systemd.unified_cgroup_hierarchy=1";
  if (!has_systemd())
    return "as root: chown -R a group of its own below " + view.v2.mount_point + " to this user, and start clawrun in it";
  return limits.directory.empty() ? "systemd-run --user --scope -p Delegate=yes clawrun ..." : kUserManagerRemedy;
}

Check limits_check(const DoctorContext& context, const CgroupView& view) {
  // Optional: this version enforces no limit by cgroup, so nothing that it gives is lost here.
  Check check{.id = "cgroup.limits", .title = "limits by cgroup", .status = Check::Status::kOk};
  const Limits limits = view.layout == CgroupLayout::kV2 ? v2_limits(view, context.facts.uid) : v1_limits(view);
  check.found =
      limits.directory.empty() ? "no group can be made by this caller" : join(limits.there, ", ") + " below " + limits.directory;
  if (limits.lacking.empty()) return check;
  check.status = limits.there.empty() ? Check::Status::kMissing : Check::Status::kDegraded;
  check.lost = "for a later version, the limits of " + join(limits.lacking, ", ");
  check.remedy = limits_remedy(context, view, limits);
  return check;
}

Check own_group(const CgroupView& view) {
  Check check{.id = "cgroup.own", .title = "own cgroup"};
  check.found = !view.v2.mount_point.empty() ? view.v2.own_directory : view.v1.empty() ? "none" : view.v1.front().own_directory;
  if (!view.v2.mount_point.empty()) check.found += can_make_groups(view.v2.own_directory) ? " (writable)" : " (not writable)";
  return check;
}

}  // namespace

void check_cgroups(const DoctorContext& context, Checks& out) {
  const CgroupView view = parse_cgroup_view(context.clues.mountinfo, read_or_empty("/proc/self/cgroup"));
  out.push_back(layout_check(view));
  out.push_back(own_group(view));
  out.push_back(limits_check(context, view));
}

}  // namespace clawrun::host
