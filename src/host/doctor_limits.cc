#include "host/doctor_limits.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/text.h"
#include "cgroup/writes.h"

namespace clawrun::host {

namespace {

constexpr std::string_view kControllers[] = {"memory", "pids", "cpu", "cpuset", "io"};

// In the order of kControllers.
constexpr std::string_view kOptions[] = {"--memory and its default", "--pids and its default", "--cpus and --cpu-weight",
                                         "--cpuset", "--io-max and --io-weight"};
static_assert(std::size(kControllers) == std::size(kOptions));

// Without being asked `clawrun exec` limits these two.
constexpr std::size_t kDefaults = 2;

constexpr const char* kDropIn =
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log out of all sessions "
    "and "
    "in again";

struct Missing {
  std::size_t row;  // of kControllers
  std::string reason;
};

struct Found {
  std::vector<std::string> there;
  std::vector<Missing> missing;
};

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

bool has_word(std::string_view text, std::string_view word) {
  const auto words = split(text, ' ');
  return std::ranges::find(words, word) != words.end();
}

// Without the remedy behind it: this row has one for all.
std::string reason_for(const cgroup::Place& place, std::string_view controller) {
  for (const auto& [name, reason] : place.missing)
    if (name == controller) return reason.substr(0, reason.find(';'));
  return "no place for it was found";
}

Found sort_out(const LimitFacts& facts) {
  const cgroup::Place& place = facts.place;
  Found found;
  for (std::size_t i = 0; i < std::size(kControllers); ++i) {
    const std::string_view controller = kControllers[i];
    const bool given = has(place.v2.controllers, controller) ||
                       std::ranges::any_of(place.v1, [&](const auto& base) { return has(base.controllers, controller); });
    // The manager takes a property for every limit, and leaves out in silence what it cannot do.
    const bool withheld = given && place.driver == cgroup::Driver::kSystemd && facts.manager_controllers &&
                          !has_word(*facts.manager_controllers, controller);
    if (withheld)
      found.missing.push_back({i, "not delegated to this user's systemd"});
    else if (given)
      found.there.emplace_back(controller);
    else
      found.missing.push_back({i, reason_for(place, controller)});
  }
  return found;
}

std::string giver_of(const cgroup::Place& place) {
  if (place.driver == cgroup::Driver::kSystemd) return place.user_manager ? "by systemd --user" : "by systemd";
  std::vector<std::string> where;
  if (!place.v1.empty()) where.emplace_back("in the v1 hierarchies");
  if (!place.v2.directory.empty()) where.push_back("below " + shown(place.v2.directory));
  return "by cgroupfs " + join(where, " and ");
}

std::string describe(const LimitFacts& facts, const Found& found) {
  if (found.there.empty()) return "none: " + found.missing.front().reason;
  std::string text = join(found.there, ", ") + " " + giver_of(facts.place);
  std::vector<std::string> told;
  for (const Missing& missing : found.missing) {
    if (has(told, missing.reason)) continue;
    told.push_back(missing.reason);
    std::vector<std::string> names;
    for (const Missing& other : found.missing)
      if (other.reason == missing.reason) names.emplace_back(kControllers[other.row]);
    text += "; not " + join(names, ", ") + ": " + missing.reason;
  }
  return text;
}

std::string names_of(const Found& found, std::string_view before, std::string_view between) {
  std::vector<std::string> names;
  for (const Missing& missing : found.missing) names.push_back(std::string(before) + std::string(kControllers[missing.row]));
  return join(names, between);
}

bool is_in_kernel(const LimitFacts& facts, std::string_view v1_name) {
  return std::ranges::any_of(split(facts.kernel_controllers, '\n'), [v1_name](std::string_view line) {
    const auto fields = split(line, '\t');
    return fields.size() == 4 && fields[0] == v1_name && fields[3] == "1";
  });
}

std::string remedy_for_root(const LimitFacts& facts, const Found& found) {
  std::vector<std::string> mounts;
  for (const std::string& mount_point : facts.read_only) mounts.push_back("mount -o remount,rw " + shown(mount_point));
  if (!mounts.empty()) return join(mounts, " && ");
  for (const Missing& missing : found.missing) {
    const std::string name(cgroup::v1_name(kControllers[missing.row]));
    const std::string directory = "/sys/fs/cgroup/" + name;
    if (facts.view.layout != cgroup::Layout::kV2 && is_in_kernel(facts, name))
      mounts.push_back("mkdir -p " + directory + " && mount -t cgroup -o " + name + " none " + directory);
  }
  if (!mounts.empty()) return join(mounts, " && ");
  return "run a kernel that has " + names_of(found, "", ", ") + ", and boot it without cgroup_disable=";
}

std::string remedy_in_container(const LimitFacts& facts, const Found& found) {
  if (!facts.read_only.empty() || !facts.place.usable()) return std::string(loosening(facts.kind).cgroup);
  return "on the host: echo '" + names_of(found, "+", " ") + "' >cgroup.subtree_control in the group above this container's";
}

std::string remedy_for_user(const LimitFacts& facts) {
  if (facts.uid == 0 && facts.has_systemd)  // of a user namespace
    return "start the user namespace in a delegated group: systemd-run --user --scope -p Delegate=yes -- unshare ...";
  if (facts.uid == 0) return "run clawrun as root outside of the user namespace";
  if (facts.view.layout != cgroup::Layout::kV2)
    return facts.has_systemd ? "boot with systemd.unified_cgroup_hierarchy=1, or run clawrun as root" : "run clawrun as root";
  if (facts.has_systemd) return facts.has_user_manager ? kDropIn : "sudo loginctl enable-linger \"$(id -un)\"";
  const std::string& root = facts.view.v2.mount_point;
  const std::string group = root + "/user-" + std::to_string(facts.uid);
  const std::string owner = "sudo chown " + std::to_string(facts.uid) + " " + group;
  return "echo '+memory +pids +cpu +cpuset +io' | sudo tee " + root + "/cgroup.subtree_control; sudo mkdir " + group + " && " +
         owner + " " + group + "/cgroup.procs " + group + "/cgroup.subtree_control && echo $$ | sudo tee " + group +
         "/cgroup.procs";
}

std::string remedy_for(const LimitFacts& facts, const Found& found) {
  const bool is_mounted = facts.view.layout != cgroup::Layout::kNone;
  // A user in a container whose root could help itself is helped by that root.
  if (facts.kind != Surrounding::kNone && (facts.uid == 0 || !is_mounted || !facts.read_only.empty()))
    return remedy_in_container(facts, found);
  if (!is_mounted) return facts.privileged ? "mount -t cgroup2 none /sys/fs/cgroup" : "sudo mount -t cgroup2 none /sys/fs/cgroup";
  return facts.privileged ? remedy_for_root(facts, found) : remedy_for_user(facts);
}

}  // namespace

std::span<const std::string_view> limit_controllers() {
  return kControllers;
}

Check limits_check(const LimitFacts& facts) {
  Check check{.id = "cgroup.limits", .title = "limits by cgroup", .status = Check::Status::kOk};
  const Found found = sort_out(facts);
  check.found = describe(facts, found);
  if (found.missing.empty()) return check;
  std::vector<std::string> options;
  for (const Missing& missing : found.missing) options.emplace_back(kOptions[missing.row]);
  const bool has_default = found.missing.front().row < kDefaults;
  check.need = has_default ? Check::Need::kProtection : Check::Need::kOptional;
  check.status = found.there.empty() ? Check::Status::kMissing : Check::Status::kDegraded;
  check.lost = "the limits of " + join(options, ", ");
  check.remedy = remedy_for(facts, found);
  return check;
}

}  // namespace clawrun::host
