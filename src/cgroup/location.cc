#include "cgroup/location.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <set>

#include "base/text.h"
#include "cgroup/devices.h"
#include "cgroup/files.h"
#include "cgroup/make.h"
#include "cgroup/systemd.h"
#include "cgroup/writes.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kFreezeNs = 10'000 * kMs;
constexpr std::uint64_t kDeathNs = 10'000 * kMs;  // a process in uninterruptible sleep dies when its device answers
constexpr std::uint64_t kRemoveNs = 2'000 * kMs;
constexpr int kMaxRounds = 1000;

bool is_gone(const Error& error) {
  return error.errno_value == ENOENT || error.errno_value == ENODEV;
}

// Asks until it is true, with longer and longer pauses. Nothing here can be polled for on both versions of cgroups.
bool wait_until(std::uint64_t limit_ns, const std::function<bool()>& is_done) {
  const std::uint64_t end_ns = sys::monotonic_ns() + limit_ns;
  for (int pause_ms = 0;; pause_ms = std::min(pause_ms * 2 + 1, 50)) {
    if (is_done()) return true;
    if (sys::monotonic_ns() >= end_ns) return false;
    ::poll(nullptr, 0, pause_ms);
  }
}

const Location::Directory* v1_with(const Location& location, std::string_view controller) {
  for (const Location::Directory& directory : location.v1)
    if (std::ranges::find(directory.controllers, controller) != directory.controllers.end()) return &directory;
  return nullptr;
}

std::vector<const Location::Directory*> directories(const Location& location) {
  std::vector<const Location::Directory*> all;
  if (!location.v2.path.empty()) all.push_back(&location.v2);
  for (const Location::Directory& directory : location.v1) all.push_back(&directory);
  return all;
}

Result<std::vector<pid_t>> read_pids(int directory) {
  const std::string text = TRY(read_control(directory, "cgroup.procs"));
  std::vector<pid_t> pids;
  for (const std::string_view line : split(text, '\n')) {
    const auto pid = parse_unsigned(line, INT32_MAX);
    if (pid && *pid > 0) pids.push_back(static_cast<pid_t>(*pid));
  }
  return pids;
}

// A v1 hierarchy that the start had no need of. The children of what has been moved are born in it, so when a look finds nobody
// outside, nobody is.
Result<UniqueFd> join_v1(const Location& location, const Location::Directory& leaf) {
  if (auto there = open_directory(leaf.path)) return there;
  const std::string parent = leaf.path.substr(0, leaf.path.rfind('/'));
  TRY(make_leaf_v1({leaf.controllers, parent, parent}, leaf));
  UniqueFd directory = TRY(open_directory(leaf.path));
  std::set<pid_t> moved;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool found = false;
    const std::vector<pid_t> pids = TRY(processes(location));
    for (const pid_t pid : pids) {
      if (!moved.insert(pid).second) continue;
      found = true;
      auto written = write_control(directory.get(), "cgroup.procs", std::to_string(pid));
      if (!written && written.error().errno_value != ESRCH)
        return while_doing("moving a process to " + leaf.path, written.error());
    }
    if (!found) return directory;
  }
  return fail(ErrorKind::kSystem, "the sandbox forks faster than its processes can be moved to " + leaf.path);
}

Failure cannot_freeze(const std::string& path) {
  return fail(
      ErrorKind::kSystem,
      path + ": not all processes stopped within 10 s; one of them waits in the kernel, for a device or a network file system");
}

Result<> freeze_v2(const std::string& path, const char* state) {
  const UniqueFd directory = TRY(open_directory(path));
  TRY(write_control(directory.get(), "cgroup.freeze", state));
  const auto wanted = static_cast<std::uint64_t>(*state - '0');
  const bool reached = wait_until(kFreezeNs, [&] {
    const auto events = read_control(directory.get(), "cgroup.events");
    return !events || flat_keyed(*events, "frozen") == wanted;
  });
  if (!reached) return cannot_freeze(path);
  return {};
}

// FREEZING is tried again by writing again: kernel.org, cgroup-v1/freezer-subsystem.
Result<> freeze_v1(const Location& location, const char* state) {
  const Location::Directory* leaf = v1_with(location, "freezer");
  if (leaf == nullptr) return fail(ErrorKind::kUnsupported, "no freezer hierarchy that this user may use is mounted here");
  const UniqueFd directory = TRY(join_v1(location, *leaf));
  bool refused = false;
  const bool reached = wait_until(kFreezeNs, [&] {
    refused = !write_control(directory.get(), "freezer.state", state);
    const auto now = read_control(directory.get(), "freezer.state");
    return refused || (now && now->starts_with(state));
  });
  if (refused) return fail(ErrorKind::kSystem, leaf->path + ": writing " + state + " to freezer.state failed");
  if (!reached) return cannot_freeze(leaf->path);
  return {};
}

void kill_each(int directory) {
  const auto pids = read_pids(directory);
  if (!pids) return;
  for (const pid_t pid : *pids) ::kill(pid, SIGKILL);
}

// Without cgroup.kill (Linux 5.14) forks must not outrun the signals: what is frozen does not fork, and where the pids
// controller is at hand nothing forks any more.
Result<> kill_in(const Location::Directory& leaf) {
  auto directory = open_directory(leaf.path);
  if (!directory) {
    if (is_gone(directory.error())) return {};
    return Failure(directory.error());
  }
  const int fd = directory->get();
  if (!write_control(fd, "cgroup.kill", "1")) {
    const bool froze = write_control(fd, "cgroup.freeze", "1").has_value();
    (void)write_control(fd, "pids.max", "0");
    kill_each(fd);
    if (froze) (void)write_control(fd, "cgroup.freeze", "0");
  }
  const bool dead = wait_until(kDeathNs, [&] {
    // v1 lets a frozen process die only once it goes on.
    if (exists_in(fd, "freezer.state")) (void)write_control(fd, "freezer.state", "THAWED");
    const auto pids = read_pids(fd);
    if (!pids || pids->empty()) return true;
    if (!exists_in(fd, "cgroup.kill")) kill_each(fd);
    return false;
  });
  if (!dead) return fail(ErrorKind::kSystem, leaf.path + ": processes are still there 10 s after they were killed");
  return {};
}

Result<> remove_directory(const std::string& path) {
  int error = 0;
  const bool gone = wait_until(kRemoveNs, [&] {
    error = ::rmdir(path.c_str()) == 0 ? 0 : errno;
    return error != EBUSY;
  });
  if (error == ENOENT || error == 0) return {};
  return fail_errno("removing the cgroup " + shown(path) + (gone ? "" : " (it still has processes or groups in it)"), error);
}

// The group between, where we made one, goes with the last sandbox in it.
void remove_between(const std::string& leaf) {
  const std::string parent = leaf.substr(0, leaf.rfind('/'));
  if (parent.ends_with("/clawrun")) ::rmdir(parent.c_str());
}

// The manager removes the directory when it is told that nothing is left in it. Taking it away would leave the unit behind.
Result<> wait_for_manager(const Location& location) {
  const std::string& path = location.v2.path;
  if (path.empty() || wait_until(kRemoveNs, [&] { return ::access(path.c_str(), F_OK) != 0; })) return {};
  return stop_scope(location.unit, location.user_manager);
}

Result<> update_v2(const Location& location, const Limits& limits) {
  const UniqueFd directory = TRY(open_directory(location.v2.path));
  const std::string available = TRY(read_control(directory.get(), "cgroup.controllers"));
  std::vector<std::string> all;
  std::vector<std::string> needed;
  for (const Write& write : writes_v2(limits)) {
    const bool in_v1 = v1_with(location, v1_name(write.controller)) != nullptr;
    if (in_v1) continue;
    all.emplace_back(write.controller);
    if (!has_word(available, write.controller)) needed.emplace_back(write.controller);
  }
  if (!needed.empty()) TRY(enable_controllers(location.v2.path.substr(0, location.v2.path.rfind('/')), needed));
  for (const Write& write : writes_v2(only(limits, all))) TRY(apply(directory.get(), write));
  if (limits.devices && v1_with(location, "devices") == nullptr) TRY(attach_device_program(directory.get(), *limits.devices));
  return {};
}

Result<> update_v1(const Location& location, const Limits& limits) {
  for (const char* controller : {"memory", "cpu", "cpuset", "pids", "io"}) {
    const Location::Directory* leaf = v1_with(location, v1_name(controller));
    if (leaf == nullptr) continue;
    const Limits part = only(limits, {controller});
    if (writes_v2(part).empty()) continue;
    const UniqueFd directory = TRY(join_v1(location, *leaf));
    const auto before = read_number(directory.get(), "memory.limit_in_bytes");
    const std::vector<Write> writes = TRY(writes_v1(part, before.value_or(kUnlimited)));
    for (const Write& write : writes) TRY(apply(directory.get(), write));
  }
  const Location::Directory* devices = v1_with(location, "devices");
  if (limits.devices && devices != nullptr) TRY(write_device_rules_v1(devices->path, *limits.devices));
  return {};
}

// Each limit must have a hierarchy that can hold it.
Result<> check_reach(const Location& location, const Limits& limits) {
  for (const Write& write : writes_v2(limits))
    if (location.v2.path.empty() && v1_with(location, v1_name(write.controller)) == nullptr)
      return fail(ErrorKind::kUnsupported, "--" + std::string(write.setting) + ": the sandbox has no cgroup with the " +
                                               std::string(write.controller) + " controller");
  return {};
}

}  // namespace

Result<> update(const Location& location, const Limits& limits) {
  TRY(check_reach(location, limits));
  if (location.driver == Driver::kSystemd) {
    const Limits direct = TRY(set_properties(location.unit, location.user_manager, limits));
    return update_v2(location, direct);
  }
  TRY(update_v1(location, limits));
  if (!location.v2.path.empty()) TRY(update_v2(location, limits));
  return {};
}

Result<> freeze(const Location& location) {
  if (!location.v2.path.empty()) return freeze_v2(location.v2.path, "1");
  return freeze_v1(location, "FROZEN");
}

Result<> thaw(const Location& location) {
  if (!location.v2.path.empty()) return freeze_v2(location.v2.path, "0");
  return freeze_v1(location, "THAWED");
}

Result<> kill(const Location& location) {
  // In all hierarchies before any is waited for: a process that the freezer of one has stopped dies in none (v1).
  kill_soon(location);
  Result<> result;
  for (const Location::Directory* directory : directories(location)) {
    auto killed = kill_in(*directory);
    if (!killed) result = std::move(killed);
  }
  return result;
}

void kill_soon(const Location& location) {
  for (const Location::Directory* leaf : directories(location)) {
    const auto directory = open_directory(leaf->path);
    if (!directory) continue;
    if (!write_control(directory->get(), "cgroup.kill", "1")) kill_each(directory->get());
    if (exists_in(directory->get(), "freezer.state")) (void)write_control(directory->get(), "freezer.state", "THAWED");
    if (exists_in(directory->get(), "cgroup.freeze")) (void)write_control(directory->get(), "cgroup.freeze", "0");
  }
}

bool remove_empty(const Location& location) {
  if (location.driver == Driver::kSystemd) return false;
  for (const Location::Directory* directory : directories(location)) {
    if (::rmdir(directory->path.c_str()) != 0 && errno != ENOENT) return false;
    remove_between(directory->path);
  }
  return true;
}

Result<> remove(const Location& location) {
  if (location.driver == Driver::kSystemd) return wait_for_manager(location);
  Result<> result;
  for (const Location::Directory* directory : directories(location)) {
    auto removed = remove_directory(directory->path);
    if (!removed) result = std::move(removed);
    remove_between(directory->path);
  }
  return result;
}

Result<std::vector<pid_t>> processes(const Location& location) {
  for (const Location::Directory* directory : directories(location)) {
    auto fd = open_directory(directory->path);
    if (!fd && is_gone(fd.error())) continue;
    if (!fd) return std::unexpected(std::move(fd).error());
    return read_pids(fd->get());
  }
  return fail(ErrorKind::kNotFound, "the sandbox's cgroup is gone");
}

}  // namespace clawrun::cgroup
