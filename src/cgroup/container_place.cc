#include "cgroup/container_place.h"

#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "cgroup/files.h"
#include "cgroup/systemd.h"
#include "cgroup/writes.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kMaxList = 1 << 16U;
constexpr std::size_t kLongestName = 255;

// Lexically, as engines expect of ".." in it; no path leads out of where it begins.
std::string cleaned(std::string_view path) {
  std::vector<std::string> kept;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      kept.emplace_back(part);
    else if (!kept.empty())
      kept.pop_back();
  }
  return (path.starts_with('/') ? "/" : "") + join(kept, "/");
}

std::string parent_of(const std::string& directory) {
  return directory.substr(0, directory.rfind('/'));
}

bool is_below(const std::string& directory, const std::string& root) {
  return directory.size() > root.size() && directory.starts_with(root) && directory[root.size()] == '/';
}

// The nearest that there is of a directory and those above it.
std::string existing_above(std::string directory, const std::string& root) {
  while (is_below(directory, root) && ::access(directory.c_str(), F_OK) != 0) directory = parent_of(directory);
  return directory;
}

class ContainerFinder {
 public:
  ContainerFinder(const View& view, const ContainerPlaceRequest& request)
      : view_(view), request_(request), in_user_namespace_(in_user_namespace()) {
    if (request.limits != nullptr) asked_ = asked_for(*request.limits);
    place_.existing = Existing::kUsedIfEmpty;
    place_.skip_devices = ::geteuid() != 0 || in_user_namespace_;
  }

  Result<Place> find() {
    if (request_.driver == DriverChoice::kSystemd) {
      TRY(use_systemd());
      return std::move(place_);
    }
    TRY(take_path());
    for (const View::Hierarchy& hierarchy : view_.v1) TRY(add_v1(hierarchy));
    for (const View::Hierarchy& hierarchy : view_.named) TRY(add_v1(hierarchy));
    TRY(add_v2());
    TRY(check_all_had());
    return std::move(place_);
  }

 private:
  Result<> take_path() {
    if (request_.path.find(':') != std::string::npos)
      return fail(ErrorKind::kInvalid, "linux.cgroupsPath: " + quoted(request_.path.substr(0, 300)) +
                                           ": slice:prefix:name is a path of the systemd driver (--systemd-cgroup)");
    path_ = cleaned(request_.path.empty() ? request_.id : request_.path);
    place_.leaf = path_.substr(path_.rfind('/') + 1);
    if (place_.leaf.empty())
      return fail(ErrorKind::kInvalid,
                  "linux.cgroupsPath: " + quoted(request_.path.substr(0, 300)) + " is the root; name a group below it");
    for (const std::string_view part : split(path_, '/'))
      if (part.size() > kLongestName || part.find('\0') != std::string_view::npos || part.find('\n') != std::string_view::npos)
        return fail(ErrorKind::kInvalid,
                    "linux.cgroupsPath: " + quoted(part.substr(0, 300)) + ": a name has at most 255 bytes and no line break");
    return {};
  }

  Result<> use_systemd() {
    if (!systemd_is_running())
      return fail(ErrorKind::kUnsupported,
                  "--systemd-cgroup: systemd not running on this host, cannot use systemd cgroups manager; leave the option out");
    if (view_.layout != Layout::kV2)
      return fail(ErrorKind::kUnsupported,
                  "--systemd-cgroup: this host is not on cgroup v2 alone; leave the option out, or boot with cgroup v2");
    place_.driver = Driver::kSystemd;
    place_.user_manager = ::geteuid() != 0 || in_user_namespace_;
    place_.path = request_.path;
    place_.description = request_.description;
    place_.properties = request_.properties;
    place_.v2.root = view_.v2.mount_point;
    place_.devices_in_v2 = !place_.skip_devices;
    for (const Asked& asked : asked_)
      if (!asked.controller.empty() && std::ranges::find(place_.v2.controllers, asked.controller) == place_.v2.controllers.end())
        place_.v2.controllers.push_back(asked.controller);
    return {};
  }

  // The first thing that was asked of a controller; nullptr: nothing.
  [[nodiscard]] const Asked* asked_of(std::string_view controller) const {
    const auto found = std::ranges::find(asked_, controller, &Asked::controller);
    return found == asked_.end() ? nullptr : &*found;
  }

  static Failure cannot_have(const Asked& asked, const std::string& why) {
    return fail(ErrorKind::kUnsupported,
                name_of(asked.setting, AskedBy::kConfig) + ": no " + asked.controller + " controller for this container: " + why);
  }

  Result<> check_asked(const std::vector<std::string>& controllers, const std::string& why) const {
    for (const Asked& asked : asked_)
      if (std::ranges::find(controllers, asked.controller) != controllers.end()) return cannot_have(asked, why);
    return {};
  }

  // Without a path of its own a container that asks for nothing may go without; with one, engines look for it there.
  [[nodiscard]] bool may_go_without() const { return request_.path.empty() || in_user_namespace_ || ::geteuid() != 0; }

  [[nodiscard]] static std::string remedy() {
    return ::geteuid() == 0 ? "; mount it writable, or leave the limit out"
                            : "; have it delegated to this user (clawrun doctor says how), or leave the limit out";
  }

  Result<> add_v1(const View::Hierarchy& hierarchy) {
    std::vector<std::string> controllers;
    for (const std::string& name : hierarchy.controllers) controllers.emplace_back(name == "blkio" ? "io" : name);
    served_.insert(served_.end(), controllers.begin(), controllers.end());
    const bool absolute = path_.starts_with('/');
    const std::string leaf = (absolute ? hierarchy.mount_point : hierarchy.own_directory + "/") + path_;
    if (const char* why = why_not_writable(existing_above(parent_of(leaf), hierarchy.mount_point))) {
      const std::string reason = existing_above(parent_of(leaf), hierarchy.mount_point) + " " + why + remedy();
      TRY(check_asked(controllers, reason));
      if (may_go_without()) return {};
      return fail(ErrorKind::kDenied, "linux.cgroupsPath: " + shown(request_.path) + ": " + reason);
    }
    place_.v1.push_back({std::move(controllers), hierarchy.mount_point, parent_of(leaf)});
    return {};
  }

  // The group that a relative path begins in. Processes are in the caller's own, so that no limited group can be below it: the
  // one above is taken where that is the caller's to change, as engines know it; else the callers are moved.
  [[nodiscard]] std::string v2_base() const {
    const View::Hierarchy& v2 = view_.v2;
    if (is_hierarchy_root(v2.own_directory) || !is_below(v2.own_directory, v2.mount_point)) return v2.own_directory;
    const std::string above = parent_of(v2.own_directory);
    return why_not_writable(above) == nullptr ? above : v2.own_directory;
  }

  Result<> add_v2() {
    const View::Hierarchy& v2 = view_.v2;
    if (v2.mount_point.empty()) return {};
    const bool absolute = path_.starts_with('/');
    const std::string base = absolute ? v2.mount_point : v2_base() + "/";
    const std::string parent = parent_of(base + path_);
    const std::string above = existing_above(parent, v2.mount_point);
    std::vector<std::string> wanted;
    for (const Asked& asked : asked_)
      if (std::ranges::find(served_, asked.controller) == served_.end() && !asked.controller.empty() &&
          std::ranges::find(wanted, asked.controller) == wanted.end())
        wanted.push_back(asked.controller);
    if (const char* why = why_not_writable(above)) {
      TRY(check_asked(wanted, above + " " + why + remedy()));
      if (may_go_without()) return {};
      return fail(ErrorKind::kDenied, "linux.cgroupsPath: " + shown(request_.path) + ": " + above + " " + why + remedy());
    }
    // Who may change the root can have whatever it lists; others what was handed down to them.
    TRY(check_listed(why_not_writable(v2.mount_point) == nullptr ? v2.mount_point : above, wanted));
    place_.v2 = {std::move(wanted), v2.mount_point, parent};
    place_.v2_move_callers = !absolute && v2.own_directory == parent && !is_hierarchy_root(parent);
    // Beside v1 its controllers are for those who ask for one: one that is enabled here can no longer be mounted there.
    place_.offer_all = view_.v1.empty();
    const bool v1_devices = std::ranges::find(served_, "devices") != served_.end();
    place_.devices_in_v2 = !v1_devices && !place_.skip_devices;
    return {};
  }

  Result<> check_listed(const std::string& root, const std::vector<std::string>& wanted) const {
    const auto available = sys::read_file(root + "/cgroup.controllers", kMaxList);
    for (const std::string& controller : wanted)
      if (!available || !has_word(*available, controller))
        return cannot_have(*asked_of(controller), "cgroup.controllers of " + root +
                                                      " does not list it, and no hierarchy of "
                                                      "cgroup v1 with it is mounted; leave the limit out");
    return {};
  }

  Result<> check_all_had() {
    const bool has_v2 = !place_.v2.directory.empty();
    for (const Asked& asked : asked_) {
      const bool is_v1 = std::ranges::find(served_, asked.controller) != served_.end();
      if (asked.setting == "unified" && (is_v1 || !has_v2))
        return fail(ErrorKind::kUnsupported,
                    "linux.resources.unified: unified: only with cgroup v2, which on this host has no " +
                        (asked.controller.empty() ? "writable group" : asked.controller + " controller"));
      if (!is_v1 && !has_v2) return cannot_have(asked, "no cgroup hierarchy with it is mounted here; leave the limit out");
    }
    // What a container may do with devices is never left open.
    const bool wants_devices = request_.limits != nullptr && request_.limits->devices && !place_.skip_devices;
    const auto has_devices = [](const Place::Base& base) {
      return std::ranges::find(base.controllers, "devices") != base.controllers.end();
    };
    if (wants_devices && !place_.devices_in_v2 && std::ranges::none_of(place_.v1, has_devices))
      return fail(ErrorKind::kUnsupported,
                  "linux.resources.devices: no devices controller: no writable hierarchy of cgroup v1 with it is mounted here, "
                  "and no cgroup v2; mount one of them");
    return {};
  }

  const View& view_;
  const ContainerPlaceRequest& request_;
  bool in_user_namespace_;
  std::vector<Asked> asked_;
  std::vector<std::string> served_;  // controllers that a hierarchy of v1 has
  std::string path_;
  Place place_;
};

}  // namespace

Result<Place> find_container_place(const View& view, const ContainerPlaceRequest& request) {
  return ContainerFinder(view, request).find();
}

bool in_user_namespace() {
  const auto map = sys::read_file("/proc/self/uid_map", kMaxList);
  if (!map) return false;  // a kernel without them
  std::vector<std::string_view> words;
  for (const std::string_view word : split(std::string_view(*map).substr(0, map->find('\n')), ' '))
    if (!word.empty()) words.push_back(word);
  return words != std::vector<std::string_view>{"0", "0", "4294967295"};
}

}  // namespace clawrun::cgroup
