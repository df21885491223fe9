#include "cgroup/place.h"

#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cgroup/files.h"
#include "cgroup/limits.h"
#include "cgroup/make.h"
#include "cgroup/systemd.h"
#include "cgroup/writes.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kMaxProcText = 4 << 20U;

constexpr const char* kDelegationRemedy =
    "; run clawrun in a delegated group (systemd-run --user --scope -p Delegate=yes -- clawrun …), or let the administrator "
    "delegate one: clawrun doctor says how";

bool writable(const std::string& directory) {
  return why_not_writable(directory) == nullptr;
}

// systemd marks what it has handed over (systemd.resource-control(5), Delegate=): nothing below is touched by it.
bool is_marked_delegated(const std::string& directory) {
  char value = 0;
  for (const char* name : {"user.delegate", "trusted.delegate"})
    if (::getxattr(directory.c_str(), name, &value, 1) == 1 && value == '1') return true;
  return false;
}

std::string parent_of(const std::string& directory) {
  return directory.substr(0, directory.rfind('/'));
}

bool is_below(const std::string& directory, const std::string& root) {
  return directory.size() > root.size() && directory.starts_with(root) && directory[root.size()] == '/';
}

// The groups from the caller's own upwards that the caller may change; nearest first.
std::vector<std::string> own_groups(const View::Hierarchy& v2) {
  std::vector<std::string> groups;
  std::string directory = v2.own_directory;
  while (writable(directory)) {
    groups.push_back(directory);
    if (!is_below(directory, v2.mount_point)) break;
    directory = parent_of(directory);
  }
  return groups;
}

class Finder {
 public:
  Finder(const View& view, const PlaceRequest& request) : view_(view), request_(request) {}

  Result<Place> find() {
    place_.path = request_.path;
    if (request_.controllers.empty() && request_.path.empty() && request_.driver != DriverChoice::kSystemd)
      return std::move(place_);
    if (request_.driver == DriverChoice::kSystemd) {
      TRY(use_systemd());
      return std::move(place_);
    }
    if (request_.path.find(':') != std::string::npos)
      return fail(ErrorKind::kInvalid,
                  "--cgroup-path " + quoted(request_.path) +
                      ": slice:prefix:name is a path of --cgroup-driver systemd; cgroupfs takes a directory");
    std::vector<std::string> in_v2;
    for (const std::string_view controller : request_.controllers) place_one(controller, in_v2);
    if (!in_v2.empty() || place_.devices_in_v2 || (place_.v1.empty() && !request_.path.empty())) TRY(place_in_v2(in_v2));
    if (!place_.v1.empty()) list_spare();
    return std::move(place_);
  }

 private:
  void miss(std::string_view controller, std::string reason) { place_.missing.emplace_back(controller, std::move(reason)); }

  Result<> use_systemd() {
    if (!systemd_is_running())
      return fail(ErrorKind::kUnsupported, "--cgroup-driver systemd: systemd does not run here; use --cgroup-driver cgroupfs");
    if (view_.layout != Layout::kV2)
      return fail(ErrorKind::kUnsupported,
                  "--cgroup-driver systemd: this host is not on cgroup v2 alone; use --cgroup-driver cgroupfs");
    place_.driver = Driver::kSystemd;
    place_.user_manager = ::geteuid() != 0;
    place_.v2.root = view_.v2.mount_point;
    for (const std::string_view controller : request_.controllers) {
      if (controller == "devices") place_.devices_in_v2 = true;
      if (controller != "devices" && controller != "cpuacct") place_.v2.controllers.emplace_back(controller);
    }
    return {};
  }

  void place_one(std::string_view controller, std::vector<std::string>& in_v2) {
    if (place_in_v1(controller)) return;
    // v2 has these without a controller: a program on the leaf, and what each group counts.
    if (controller == "devices") place_.devices_in_v2 = true;
    if (controller != "devices" && controller != "cpuacct") in_v2.emplace_back(controller);
  }

  // True where a v1 hierarchy has the controller, whether this caller may use it or not.
  bool place_in_v1(std::string_view controller) {
    for (const View::Hierarchy& hierarchy : view_.v1) {
      if (std::ranges::find(hierarchy.controllers, v1_name(controller)) == hierarchy.controllers.end()) continue;
      const std::string base = v1_directory(hierarchy);
      if (const char* why = why_not_writable(hierarchy.own_directory)) {
        if (controller == "cpuacct") return false;
        miss(controller, hierarchy.own_directory + " " + why +
                             (::geteuid() == 0 ? "" : "; cgroup v1 is delegated by its owner only: chown it to this user"));
        return true;
      }
      const auto same = std::ranges::find(place_.v1, base, &Place::Base::directory);
      if (same != place_.v1.end())
        same->controllers.emplace_back(controller);
      else
        place_.v1.push_back({{std::string(controller)}, hierarchy.mount_point, base});
      return true;
    }
    return false;
  }

  // Pausing and updating may need hierarchies that the start did not.
  void list_spare() {
    for (const View::Hierarchy& hierarchy : view_.v1) {
      const std::string base = v1_directory(hierarchy);
      const auto is_spare = [](const std::string& name) {
        return name == "freezer" || name == "cpu" || name == "cpuset" || name == "blkio" || name == "memory" || name == "pids";
      };
      if (std::ranges::none_of(hierarchy.controllers, is_spare) ||
          std::ranges::find(place_.v1, base, &Place::Base::directory) != place_.v1.end())
        continue;
      place_.v1_spare.push_back({hierarchy.controllers, hierarchy.mount_point, base});
    }
  }

  [[nodiscard]] std::string v1_directory(const View::Hierarchy& hierarchy) const {
    if (request_.path.empty()) return hierarchy.own_directory;
    return (request_.path[0] == '/' ? hierarchy.mount_point : hierarchy.own_directory + "/") + request_.path;
  }

  Result<> place_in_v2(const std::vector<std::string>& controllers) {
    const View::Hierarchy& v2 = view_.v2;
    if (v2.mount_point.empty()) {
      for (const std::string& controller : controllers) miss(controller, "no cgroup hierarchy with it is mounted");
      if (std::exchange(place_.devices_in_v2, false)) miss("devices", "no cgroup hierarchy is mounted");
      return {};
    }
    const std::string base = find_v2_base();
    if (base.empty()) {
      if (request_.driver == DriverChoice::kAuto && systemd_is_running() && view_.layout == Layout::kV2 && ::geteuid() != 0 &&
          user_manager_reachable(::geteuid()))
        return use_systemd();
      const char* why = why_not_writable(v2.own_directory);
      for (const std::string& controller : controllers)
        miss(controller, "the cgroup " + v2.own_directory + " " + (why != nullptr ? why : "is systemd's, and not delegated") +
                             (::geteuid() == 0 ? "; mount /sys/fs/cgroup writable, with a cgroup namespace" : kDelegationRemedy));
      if (std::exchange(place_.devices_in_v2, false)) miss("devices", "the cgroup " + v2.own_directory + " cannot be used");
      return {};
    }
    std::string available;
    if (auto text = sys::read_file(base + "/cgroup.controllers", kMaxProcText)) available = *text;
    for (const std::string& controller : controllers) {
      if (has_word(available, controller))
        place_.v2.controllers.push_back(controller);
      else
        miss(controller, "cgroup.controllers of " + base + " does not list it" +
                             (is_hierarchy_root(base) ? ": this kernel has it not, or it was turned off at boot"
                                                      : "; it must be enabled in cgroup.subtree_control above, or delegated: "
                                                        "clawrun doctor says how"));
    }
    if (place_.v2.controllers.empty() && request_.path.empty() && !place_.devices_in_v2) return {};
    place_.v2.root = v2.mount_point;
    place_.v2.directory = base;
    place_.v2_move_callers = !is_hierarchy_root(base);
    if (!request_.path.empty()) {
      const bool absolute = request_.path[0] == '/';
      place_.v2.directory = absolute ? v2.mount_point + request_.path : base + "/" + request_.path;
    } else if (is_hierarchy_root(base) && systemd_is_running()) {
      // systemd takes away controllers that its own units do not use, but not from a group whose children use them.
      place_.v2.directory = base + "/clawrun";
    }
    return {};
  }

  // The nearest group that is the caller's to fill: the root of the hierarchy, or a delegated group. "": none.
  std::string find_v2_base() const {
    const View::Hierarchy& v2 = view_.v2;
    if (is_hierarchy_root(v2.mount_point) && writable(v2.mount_point)) return v2.mount_point;
    const std::vector<std::string> groups = own_groups(v2);
    if (groups.empty()) return {};
    // Its own group, or the one above it that an earlier start of ours emptied.
    const std::string& own = groups.size() > 1 && is_supervisor_group(groups[0]) ? groups[1] : groups[0];
    if (is_marked_delegated(own)) return own;
    if (!systemd_is_running() || ::geteuid() == 0) return groups.back();
    // What systemd runs without having handed it over is its own: systemd's CGROUP_DELEGATION. Its mark is missing before
    // version 254 in groups of a user's manager, so there it is for the caller to say.
    return request_.driver == DriverChoice::kCgroupfs ? own : std::string();
  }

  const View& view_;
  const PlaceRequest& request_;
  Place place_;
};

}  // namespace

Result<View> current_view() {
  const std::string mounts = TRY(sys::read_file("/proc/self/mountinfo", kMaxProcText));
  const std::string own = TRY(sys::read_file("/proc/self/cgroup", kMaxProcText));
  return parse_view(mounts, own);
}

Result<Place> find_place(const View& view, const PlaceRequest& request) {
  for (const std::string_view part : split(request.path, '/'))
    if (part == ".." || part == "." || part.find('\0') != std::string_view::npos)
      return fail(ErrorKind::kInvalid, "--cgroup-path " + quoted(request.path) + ": no . and .. in it");
  return Finder(view, request).find();
}

std::uint64_t available_memory_bytes() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return 0;
  const std::uint64_t free = static_cast<std::uint64_t>(info.freeram) * info.mem_unit;
  // Free memory alone is a lower bound, and the file costs more than the rest of a start's bookkeeping.
  constexpr std::uint64_t kPlenty = 4ULL << 30U;
  if (free >= kPlenty) return free;
  const auto text = sys::read_file("/proc/meminfo", 1 << 16U);
  if (!text) return free;
  for (const std::string_view line : split(*text, '\n')) {
    if (!line.starts_with("MemAvailable:")) continue;
    std::string_view digits = line.substr(13);
    digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
    const auto kib = parse_unsigned(digits.substr(0, digits.find(' ')));
    if (kib) return *kib * 1024;
  }
  return free;
}

}  // namespace clawrun::cgroup
