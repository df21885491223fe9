#include "cgroup/group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cgroup/devices.h"
#include "cgroup/files.h"
#include "cgroup/make.h"
#include "cgroup/systemd.h"
#include "cgroup/writes.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr const char* kLeafPrefix = "clawrun-";

// With a path of its own the sandbox's group is that very directory, as in the cgroupsPath of OCI.
std::string leaf_of(const Place& place, const std::string& directory, const std::string& id) {
  return directory + "/" + (place.leaf.empty() ? kLeafPrefix + id : place.leaf);
}

// A file that is missing may mean that the group is.
Failure explain_loss(const std::string& path, Error error) {
  if ((error.errno_value != ENODEV && error.errno_value != ENOENT) || ::access(path.c_str(), F_OK) == 0)
    return Failure(std::move(error));
  return fail(ErrorKind::kSystem, "the cgroup " + path + " was removed by somebody while it was being set up; try again");
}

}  // namespace

Location Group::locate(const Place& place, const std::string& id) {
  Location location;
  location.driver = place.driver;
  location.user_manager = place.user_manager;
  if (place.driver == Driver::kSystemd) {
    location.unit = kLeafPrefix + id + ".scope";
    location.v2.controllers = place.v2.controllers;
    return location;
  }
  if (!place.v2.directory.empty()) location.v2 = {place.v2.controllers, leaf_of(place, place.v2.directory, id)};
  for (const Place::Base& base : place.v1) {
    Location::Directory& added = location.v1.emplace_back();
    for (const std::string& controller : base.controllers) added.controllers.emplace_back(v1_name(controller));
    added.path = leaf_of(place, base.directory, id);
  }
  for (const Place::Base& base : place.v1_spare) location.v1.push_back({base.controllers, leaf_of(place, base.directory, id)});
  return location;
}

Result<Group> Group::create(const Place& place, const std::string& id, Limits limits) {
  Group group = TRY(begin(place, id, std::move(limits)));
  TRY(group.complete());
  return group;
}

// A leaf of somebody else is not ours to remove: `location_` names only what these two have made.
Result<Group> Group::begin(const Place& place, const std::string& id, Limits limits) {
  Group group;
  group.limits_ = std::move(limits);
  group.systemd_path_ = place.path;
  group.description_ = place.description;
  group.properties_ = place.properties;
  if (place.skip_devices) group.limits_.devices.reset();
  Location location = locate(place, id);
  if (place.driver == Driver::kSystemd) {
    group.location_ = std::move(location);
    return group;
  }
  group.location_.driver = location.driver;
  if (!location.v2.path.empty()) {
    TRY(make_leaf_v2(place, location.v2.path));
    group.location_.v2 = location.v2;
    TRY(group.fill_v2(place));
  }
  group.rest_ = {place.v1, std::move(location.v1), place.existing};
  return group;
}

Result<> Group::complete() {
  const Rest rest = std::exchange(rest_, {});
  for (std::size_t i = 0; i < rest.bases.size(); ++i) {
    TRY(make_leaf_v1(rest.bases[i], rest.directories[i], rest.existing));
    location_.v1.push_back(rest.directories[i]);
    TRY(fill_v1(rest.bases[i].controllers, rest.directories[i].path));
  }
  joined_v1_ = rest.bases.size();
  location_.v1 = rest.directories;
  return {};
}

Result<> Group::fill_v2(const Place& place) {
  v2_ = TRY(open_directory(location_.v2.path));
  const std::string& path = location_.v2.path;
  Limits part = only(limits_, location_.v2.controllers);
  TRY(check_v2(part));
  TRY(settle_swap(part, std::nullopt));
  if (auto applied = apply_all(v2_.get(), writes_v2(part)); !applied) return explain_loss(path, std::move(applied).error());
  std::vector<std::string> in_v1;
  for (const Place::Base& base : place.v1) in_v1.insert(in_v1.end(), base.controllers.begin(), base.controllers.end());
  TRY(apply_unified(v2_.get(), limits_, in_v1));
  if (limits_.devices && place.devices_in_v2) TRY(attach_device_program(v2_.get(), *limits_.devices));
  return {};
}

Result<> Group::fill_v1(const std::vector<std::string>& controllers, const std::string& path) const {
  const UniqueFd directory = TRY(open_directory(path));
  const std::vector<Write> writes = TRY(writes_v1(only(limits_, controllers)));
  if (auto applied = apply_all(directory.get(), writes); !applied) return explain_loss(path, std::move(applied).error());
  const bool has_devices = std::ranges::find(controllers, "devices") != controllers.end();
  if (has_devices && limits_.devices) TRY(write_device_rules_v1(path, *limits_.devices));
  return {};
}

Result<std::vector<UniqueFd>> Group::open_for_joining(JoinOptions options) const {
  std::vector<UniqueFd> files;
  if (v2_.valid() && !options.cloned_into) {
    UniqueFd file = TRY(sys::open(location_.v2.path + "/cgroup.procs", O_WRONLY));
    files.push_back(std::move(file));
  }
  for (std::size_t i = 0; i < joined_v1_; ++i) {
    UniqueFd file = TRY(sys::open(location_.v1[i].path + "/tasks", O_WRONLY));
    files.push_back(std::move(file));
  }
  return files;
}

Result<> Group::attach(pid_t pid) {
  ScopeRequest request;
  request.unit = location_.unit;
  request.path = systemd_path_;
  request.user_manager = location_.user_manager;
  request.pid = pid;
  request.limits = limits_;
  TRY(check_v2(limits_));
  TRY(settle_swap(request.limits, std::nullopt));
  request.description = description_;
  request.properties = properties_;
  Scope scope = TRY(start_scope(request));
  location_.unit = scope.unit;
  location_.v2.path = scope.directory;
  v2_ = TRY(open_directory(scope.directory));
  TRY(check_scope());
  TRY(apply_all(v2_.get(), writes_v2(scope.direct)));
  TRY(apply_unified(v2_.get(), limits_, {}));
  // Of devices systemd holds a wider list where the policy denies a part of what it allows.
  if (scope.direct.devices) TRY(attach_device_program(v2_.get(), *scope.direct.devices));
  return {};
}

// What the manager was not given by its own administrator it leaves out in silence, and what it does not know it leaves alone.
Result<> Group::check_scope() const {
  const std::string& path = location_.v2.path;
  if (limits_.asked_by == AskedBy::kConfig && !location_.user_manager) {
    const View view = TRY(current_view());
    TRY(offer_controllers(view.v2.mount_point, path.substr(0, path.rfind('/'))));
  }
  const std::string available = TRY(read_control(v2_.get(), "cgroup.controllers"));
  for (const Asked& asked : asked_for(limits_))
    if (!asked.controller.empty() && !has_word(available, asked.controller))
      return fail(ErrorKind::kUnsupported,
                  name_of(asked.setting, limits_.asked_by) + ": systemd made " + location_.unit + " without the " +
                      asked.controller + " controller: " +
                      (location_.user_manager ? "it is not delegated to this user's manager; clawrun doctor says how"
                                              : "this kernel does not have it"));
  return {};
}

void Group::watch_events() {
  if (!v2_.valid()) return;
  if (auto opened = sys::open(location_.v2.path + "/memory.events", O_RDONLY)) events_ = std::move(*opened);
  acknowledge_events();
}

// Reading arms the next notification: kernfs_generic_poll() in the kernel.
void Group::acknowledge_events() const {
  char buffer[256];
  if (events_.valid()) (void)!::pread(events_.get(), buffer, sizeof buffer, 0);
}

Group& Group::operator=(Group&& other) noexcept {
  if (this == &other) return *this;
  (void)end();
  location_ = std::exchange(other.location_, {});
  rest_ = std::exchange(other.rest_, {});
  limits_ = std::move(other.limits_);
  systemd_path_ = std::move(other.systemd_path_);
  description_ = std::move(other.description_);
  properties_ = std::move(other.properties_);
  joined_v1_ = other.joined_v1_;
  v2_ = std::move(other.v2_);
  events_ = std::move(other.events_);
  return *this;
}

Location Group::release() {
  v2_.reset();
  events_.reset();
  return std::exchange(location_, {});
}

Result<> Group::end() {
  if (location_.empty()) return {};
  v2_.reset();
  events_.reset();
  TRY(cgroup::end(location_));
  location_ = {};
  return {};
}

}  // namespace clawrun::cgroup
