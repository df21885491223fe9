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
#include "cgroup/place.h"
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
constexpr int kMaxDepth = 100;

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

// Groups below it are the container's own making; one that goes away meanwhile is empty.
void add_pids_below(const std::string& path, std::vector<pid_t>& pids, int depth);

Result<std::vector<pid_t>> read_pids(const std::string& path, int directory, int depth = 0) {
  std::vector<pid_t> pids;
  auto read = read_control(directory, "cgroup.procs");
  // EOPNOTSUPP: a group of threads, whose processes the group above lists.
  if (!read && read.error().errno_value != EOPNOTSUPP) return std::unexpected(std::move(read).error());
  const std::string text = read ? std::move(*read) : std::string();
  for (const std::string_view line : split(text, '\n')) {
    const auto pid = parse_unsigned(line, INT32_MAX);
    if (pid && *pid > 0) pids.push_back(static_cast<pid_t>(*pid));
  }
  add_pids_below(path, pids, depth);
  return pids;
}

void add_pids_below(const std::string& path, std::vector<pid_t>& pids, int depth) {
  if (depth > kMaxDepth) return;
  for (const std::string& name : groups_in(path)) {
    const std::string below = path + "/" + name;
    const auto directory = open_directory(below);
    if (!directory) continue;
    const auto more = read_pids(below, directory->get(), depth + 1);
    if (more) pids.insert(pids.end(), more->begin(), more->end());
  }
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

void kill_each(const std::string& path, int directory) {
  const auto pids = read_pids(path, directory);
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
    kill_each(leaf.path, fd);
    if (froze) (void)write_control(fd, "cgroup.freeze", "0");
  }
  const bool dead = wait_until(kDeathNs, [&] {
    // v1 lets a frozen process die only once it goes on.
    if (exists_in(fd, "freezer.state")) (void)write_control(fd, "freezer.state", "THAWED");
    const auto pids = read_pids(leaf.path, fd);
    if (!pids || pids->empty()) return true;
    if (!exists_in(fd, "cgroup.kill")) kill_each(leaf.path, fd);
    return false;
  });
  if (!dead) return fail(ErrorKind::kSystem, leaf.path + ": processes are still there 10 s after they were killed");
  return {};
}

// From the bottom up, those that the container made below it too.
Result<> remove_directory(const std::string& path, int depth = 0) {
  int error = ::rmdir(path.c_str()) == 0 ? 0 : errno;
  if (error == EBUSY && depth < kMaxDepth)
    for (const std::string& name : groups_in(path)) TRY(remove_directory(path + "/" + name, depth + 1));
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

std::vector<std::string> controllers_in_v1(const Location& location) {
  std::vector<std::string> names;
  for (const Location::Directory& directory : location.v1)
    for (const std::string& name : directory.controllers) names.emplace_back(name == "blkio" ? "io" : name);
  return names;
}

// What a change leaves unnamed and the kernel wants named.
Result<> complete_v2(int directory, Limits& limits) {
  TRY(settle_swap(limits, read_number(directory, "memory.max")));
  if (limits.cpu_named_period_us && !limits.cpu_quota_us)
    if (const auto now = read_control(directory, "cpu.max")) {
      const auto quota = parse_unsigned(now->substr(0, now->find(' ')));
      limits.cpu_quota_us = quota ? *quota : kUnlimited;
    }
  const auto used = read_number(directory, "memory.current");
  if (limits.memory_checks_usage && limits.memory_bytes && used && *limits.memory_bytes < *used)
    return fail(ErrorKind::kInvalid, name_of("memory", limits.asked_by) + ": rejecting memory limit " +
                                         std::to_string(*limits.memory_bytes) + " < usage " + std::to_string(*used) +
                                         " (checkBeforeUpdate)");
  return {};
}

Result<> update_v2(const Location& location, const Limits& limits) {
  const UniqueFd directory = TRY(open_directory(location.v2.path));
  const std::string available = TRY(read_control(directory.get(), "cgroup.controllers"));
  const std::vector<std::string> in_v1 = controllers_in_v1(location);
  const auto is_in_v1 = [&](std::string_view controller) { return std::ranges::find(in_v1, controller) != in_v1.end(); };
  Limits part = limits;
  if (!is_in_v1("memory")) TRY(complete_v2(directory.get(), part));
  std::vector<std::string> all;
  std::vector<std::string> needed;
  for (const Write& write : writes_v2(part)) {
    if (is_in_v1(write.controller)) continue;
    all.emplace_back(write.controller);
    const bool is_new = std::ranges::find(needed, write.controller) == needed.end();
    if (is_new && !has_word(available, write.controller)) needed.emplace_back(write.controller);
  }
  const std::string parent = location.v2.path.substr(0, location.v2.path.rfind('/'));
  if (!needed.empty() && limits.asked_by == AskedBy::kConfig) {
    const View view = TRY(current_view());
    if (parent.starts_with(view.v2.mount_point) && !view.v2.mount_point.empty())
      TRY(offer_controllers(view.v2.mount_point, parent));
  }
  if (!needed.empty()) TRY(enable_controllers(parent, needed));
  part = only(part, all);
  TRY(apply_all(directory.get(), writes_v2(part)));
  TRY(apply_unified(directory.get(), limits, in_v1));
  if (limits.devices && v1_with(location, "devices") == nullptr) TRY(attach_device_program(directory.get(), *limits.devices));
  return {};
}

Result<> update_v1(const Location& location, const Limits& limits) {
  for (const char* controller : {"memory", "cpu", "cpuset", "pids", "io", "hugetlb", "net_cls", "net_prio", "rdma"}) {
    const Location::Directory* leaf = v1_with(location, v1_name(controller));
    if (leaf == nullptr) continue;
    const Limits part = only(limits, {controller});
    const std::vector<Write> any = TRY(writes_v1(part));
    if (any.empty()) continue;
    const UniqueFd directory = TRY(join_v1(location, *leaf));
    const auto before = read_number(directory.get(), "memory.limit_in_bytes");
    const std::vector<Write> writes = TRY(writes_v1(part, before.value_or(kUnlimited)));
    TRY(apply_all(directory.get(), writes));
  }
  const Location::Directory* devices = v1_with(location, "devices");
  if (limits.devices && devices != nullptr) TRY(write_device_rules_v1(devices->path, *limits.devices));
  return {};
}

// Each limit must have a hierarchy that can hold it.
Result<> check_reach(const Location& location, const Limits& limits) {
  const auto cannot = [&](std::string_view controller, std::string_view setting) {
    return fail(ErrorKind::kUnsupported, name_of(setting, limits.asked_by) + ": the " +
                                             (limits.asked_by == AskedBy::kOptions ? "sandbox" : "container") +
                                             " has no cgroup with the " + std::string(controller) + " controller");
  };
  const bool has_v2 = !location.v2.path.empty();
  for (const Write& write : writes_v2(limits))
    if (!has_v2 && v1_with(location, v1_name(write.controller)) == nullptr) return cannot(write.controller, write.setting);
  for (const Asked& asked : asked_for(limits))
    if (!has_v2 && v1_with(location, v1_name(asked.controller)) == nullptr) return cannot(asked.controller, asked.setting);
  std::vector<std::string> of_v2;
  const std::vector<std::string> in_v1 = controllers_in_v1(location);
  for (const std::string_view controller : needed_controllers(limits))
    if (std::ranges::find(in_v1, controller) == in_v1.end()) of_v2.emplace_back(controller);
  return check_v2(only(limits, of_v2));
}

}  // namespace

Result<> update(const Location& location, const Limits& limits) {
  TRY(check_reach(location, limits));
  if (location.driver == Driver::kSystemd) {
    Limits settled = limits;
    const UniqueFd directory = TRY(open_directory(location.v2.path));
    TRY(complete_v2(directory.get(), settled));
    const Limits direct = TRY(set_properties(location.unit, location.user_manager, settled));
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
  if (location.v2.path.empty()) return freeze_v1(location, "THAWED");
  // Others may have used the freezer of v1 beside it.
  const Location::Directory* freezer = v1_with(location, "freezer");
  if (freezer != nullptr && ::access(freezer->path.c_str(), F_OK) == 0) TRY(freeze_v1(location, "THAWED"));
  return freeze_v2(location.v2.path, "0");
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
    if (!write_control(directory->get(), "cgroup.kill", "1")) kill_each(leaf->path, directory->get());
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

Result<> end(const Location& location) {
  if (location.empty() || remove_empty(location)) return {};
  TRY(kill(location));
  return remove(location);
}

Result<std::vector<pid_t>> processes(const Location& location) {
  for (const Location::Directory* directory : directories(location)) {
    auto fd = open_directory(directory->path);
    if (!fd && is_gone(fd.error())) continue;
    if (!fd) return std::unexpected(std::move(fd).error());
    return read_pids(directory->path, fd->get());
  }
  return fail(ErrorKind::kNotFound, "the sandbox's cgroup is gone");
}

}  // namespace clawrun::cgroup
