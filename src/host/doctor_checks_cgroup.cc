// Cgroups: how they are mounted, and what of them is the caller's.
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "cgroup/place.h"
#include "cgroup/systemd.h"
#include "cgroup/view.h"
#include "host/doctor_checks.h"
#include "host/doctor_limits.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

bool is_writable(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

bool can_make_groups(const std::string& directory) {
  return is_writable(directory) && is_writable(directory + "/cgroup.procs");
}

Check layout_check(const cgroup::View& view) {
  Check check{.id = "cgroup.layout", .title = "cgroup layout", .status = Check::Status::kOk};
  switch (view.layout) {
    case cgroup::Layout::kV2:
      check.found = "v2 at " + view.v2.mount_point;
      return check;
    case cgroup::Layout::kHybrid:
      check.found = "hybrid: v1 controllers, v2 at " + view.v2.mount_point + " without them";
      break;
    case cgroup::Layout::kV1:
      check.found = "v1";
      break;
    case cgroup::Layout::kNone: {
      constexpr auto kCgroup2Magic = 0x63677270;
      struct statfs status {};
      const bool hidden = statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == kCgroup2Magic;
      check.found = hidden ? "v2 at /sys/fs/cgroup, not in the list of mounts" : "not mounted";
      break;
    }
  }
  check.status = view.layout == cgroup::Layout::kNone ? Check::Status::kMissing : Check::Status::kDegraded;
  check.lost = view.layout == cgroup::Layout::kNone
                   ? "every limit by cgroup"
                   : "delegation to users, --memory-high, starting inside a cgroup, ending one with a single write";
  check.remedy = view.layout == cgroup::Layout::kNone ? "mount -t cgroup2 none /sys/fs/cgroup"
                 : cgroup::systemd_is_running()       ? "boot with systemd.unified_cgroup_hierarchy=1"
                                                      : "boot with cgroup_no_v1=all and mount -t cgroup2 none /sys/fs/cgroup";
  return check;
}

Check own_group(const cgroup::View& view) {
  Check check{.id = "cgroup.own", .title = "own cgroup"};
  check.found = !view.v2.mount_point.empty() ? view.v2.own_directory : view.v1.empty() ? "none" : view.v1.front().own_directory;
  if (!view.v2.mount_point.empty()) check.found += can_make_groups(view.v2.own_directory) ? " (writable)" : " (not writable)";
  return check;
}

// Where hierarchies are that refuse a write because of their mount, not because of its owner.
std::vector<std::string> read_only_mounts(const cgroup::View& view) {
  std::vector<std::string> mounts;
  const auto look = [&mounts](const cgroup::View::Hierarchy& hierarchy) {
    if (!hierarchy.mount_point.empty() && !is_writable(hierarchy.own_directory) && errno == EROFS)
      mounts.push_back(hierarchy.mount_point);
  };
  std::ranges::for_each(view.v1, look);
  look(view.v2);
  return mounts;
}

// systemd makes the user's manager a service of this name, to which the limits of all its units belong: user@.service(5).
std::optional<std::string> manager_controllers(const cgroup::View& view, std::uint32_t uid) {
  const std::string user = std::to_string(uid);
  const std::string unit = view.v2.mount_point + "/user.slice/user-" + user + ".slice/user@" + user + ".service";
  const std::string file = unit + "/cgroup.controllers";
  if (!exists(file.c_str())) return std::nullopt;
  return read_or_empty(file.c_str());
}

LimitFacts gather_limit_facts(const DoctorContext& context, const cgroup::View& view) {
  LimitFacts facts{
      .view = view, .kind = context.surroundings.kind, .uid = context.facts.uid, .privileged = context.facts.privileged};
  facts.kernel_controllers = read_or_empty("/proc/cgroups");
  facts.read_only = read_only_mounts(view);
  facts.has_systemd = cgroup::systemd_is_running();
  facts.has_user_manager = facts.has_systemd && facts.uid != 0 && cgroup::user_manager_reachable(facts.uid);
  cgroup::PlaceRequest request;
  for (const std::string_view controller : limit_controllers()) request.controllers.push_back(controller);
  if (auto place = cgroup::find_place(view, request)) facts.place = std::move(*place);
  if (facts.place.driver == cgroup::Driver::kSystemd) facts.manager_controllers = manager_controllers(view, facts.uid);
  return facts;
}

}  // namespace

void check_cgroups(const DoctorContext& context, Checks& out) {
  const cgroup::View view = cgroup::parse_view(context.clues.mountinfo, read_or_empty("/proc/self/cgroup"));
  out.push_back(layout_check(view));
  out.push_back(own_group(view));
  out.push_back(limits_check(gather_limit_facts(context, view)));
}

}  // namespace clawrun::host
