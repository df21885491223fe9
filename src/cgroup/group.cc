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
std::string leaf_of(const std::string& directory, const std::string& id) {
  return directory + "/" + kLeafPrefix + id;
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
  if (!place.v2.directory.empty()) location.v2 = {place.v2.controllers, leaf_of(place.v2.directory, id)};
  for (const Place::Base& base : place.v1) {
    Location::Directory& added = location.v1.emplace_back();
    for (const std::string& controller : base.controllers) added.controllers.emplace_back(v1_name(controller));
    added.path = leaf_of(base.directory, id);
  }
  for (const Place::Base& base : place.v1_spare) location.v1.push_back({base.controllers, leaf_of(base.directory, id)});
  return location;
}

Result<Group> Group::create(const Place& place, const std::string& id, Limits limits) {
  Group group;
  group.limits_ = std::move(limits);
  group.systemd_path_ = place.path;
  Location location = locate(place, id);
  if (place.driver == Driver::kSystemd) {
    group.location_ = std::move(location);
    return group;
  }
  // A leaf of somebody else is not ours to remove: `location_` names only what this call has made.
  group.location_.driver = location.driver;
  if (!location.v2.path.empty()) {
    TRY(make_leaf_v2(place, location.v2.path));
    group.location_.v2 = location.v2;
    TRY(group.fill_v2(place));
  }
  for (std::size_t i = 0; i < place.v1.size(); ++i) {
    TRY(make_leaf_v1(place.v1[i], location.v1[i]));
    group.location_.v1.push_back(location.v1[i]);
    TRY(group.fill_v1(place.v1[i].controllers, location.v1[i].path));
  }
  group.joined_v1_ = place.v1.size();
  group.location_.v1 = std::move(location.v1);
  return group;
}

Result<> Group::fill_v2(const Place& place) {
  v2_ = TRY(open_directory(location_.v2.path));
  const std::string& path = location_.v2.path;
  for (const Write& write : writes_v2(only(limits_, location_.v2.controllers)))
    if (auto applied = apply(v2_.get(), write); !applied) return explain_loss(path, std::move(applied).error());
  if (limits_.devices && place.devices_in_v2) TRY(attach_device_program(v2_.get(), *limits_.devices));
  return {};
}

Result<> Group::fill_v1(const std::vector<std::string>& controllers, const std::string& path) const {
  const UniqueFd directory = TRY(open_directory(path));
  const std::vector<Write> writes = TRY(writes_v1(only(limits_, controllers)));
  for (const Write& write : writes)
    if (auto applied = apply(directory.get(), write); !applied) return explain_loss(path, std::move(applied).error());
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
  Scope scope = TRY(start_scope(request));
  location_.unit = scope.unit;
  location_.v2.path = scope.directory;
  v2_ = TRY(open_directory(scope.directory));
  // What the manager was not given by its own administrator it leaves out in silence.
  const std::string available = TRY(read_control(v2_.get(), "cgroup.controllers"));
  for (const std::string& controller : location_.v2.controllers)
    if (!has_word(available, controller))
      return fail(ErrorKind::kUnsupported,
                  "systemd made " + location_.unit + " without the " + controller +
                      " controller: it is not delegated to this user's manager; clawrun doctor says how");
  for (const Write& write : writes_v2(scope.direct)) TRY(apply(v2_.get(), write));
  // Of devices systemd holds a wider list where the policy denies a part of what it allows.
  if (scope.direct.devices) TRY(attach_device_program(v2_.get(), *scope.direct.devices));
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
  limits_ = std::move(other.limits_);
  systemd_path_ = std::move(other.systemd_path_);
  joined_v1_ = other.joined_v1_;
  v2_ = std::move(other.v2_);
  events_ = std::move(other.events_);
  return *this;
}

Result<> Group::end() {
  if (location_.empty()) return {};
  v2_.reset();
  events_.reset();
  if (!remove_empty(location_)) {
    TRY(kill(location_));
    TRY(remove(location_));
  }
  location_ = {};
  return {};
}

}  // namespace clawrun::cgroup
