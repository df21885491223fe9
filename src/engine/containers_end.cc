#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

#include "base/text.h"
#include "cgroup/location.h"
#include "engine/containers_manage.h"
#include "launch/hook_output.h"
#include "launch/hooks.h"
#include "resctrl/group.h"
#include "state/container_process.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using state::Container;
using state::ContainerRecord;
using state::ContainerStatus;

constexpr std::chrono::seconds kDyingTime{10};
// `delete --force` beside a runtime that makes or starts the container: with its process killed that one ends soon.
constexpr std::chrono::seconds kForceLockTime{10};
constexpr std::size_t kMaxProcStatus = 65536;
constexpr int kMaxKillRounds = 100;
constexpr int kKillPause_ms = 2;
constexpr int kMaxUnusedRounds = 20;  // the process itself ends at once when its maker has

Failure not_running() {
  return fail(ErrorKind::kInvalid, "container not running");
}

// Whether the kernel ends all others with it: pid_namespaces(7). NSpid's last number is the one in its own namespace.
bool is_first_of_namespace(pid_t pid) {
  const auto text = sys::read_file("/proc/" + std::to_string(pid) + "/status", kMaxProcStatus);
  if (!text) return true;
  for (const std::string_view line : split(*text, '\n'))
    if (line.starts_with("NSpid:")) return line.ends_with("\t1");
  return true;
}

// Those that are being forked meanwhile too: until a look finds nobody who was not killed already.
void kill_all(const cgroup::Location& location) {
  std::set<pid_t> killed;
  for (int round = 0; round < kMaxKillRounds; ++round) {
    const auto before = cgroup::processes(location);
    cgroup::kill_soon(location);
    if (!before) return;
    bool found = false;
    for (const pid_t pid : *before) found = killed.insert(pid).second || found;
    if (!found) return;
    ::poll(nullptr, 0, kKillPause_ms);
  }
}

// A number that is in the group after the pidfd was opened belongs to that pidfd's process, or to one that took its place in the
// same group; then the pidfd reaches nobody.
Result<> signal_each(const cgroup::Location& location, int signal) {
  const auto pids = cgroup::processes(location);
  if (!pids && pids.error().kind == ErrorKind::kNotFound) return {};
  if (!pids) return std::unexpected(pids.error());
  std::vector<std::pair<pid_t, UniqueFd>> opened;
  for (const pid_t pid : *pids) {
    auto pidfd = sys::pidfd_open(pid);
    if (pidfd) opened.emplace_back(pid, std::move(*pidfd));
    if (!pidfd && pidfd.error().errno_value != ESRCH) return std::unexpected(std::move(pidfd).error());
  }
  const auto again = cgroup::processes(location);
  if (!again) return {};
  const std::set<pid_t> there(again->begin(), again->end());
  Result<> result;
  for (const auto& [pid, pidfd] : opened) {
    if (!there.contains(pid)) continue;
    auto sent = sys::pidfd_send_signal(pidfd.get(), signal);
    if (!sent && sent.error().errno_value != ESRCH) result = while_doing("process " + std::to_string(pid), sent.error());
  }
  return result;
}

// Before its first process is in it, the group is only where the record says that one will be: another container may live there,
// and be the reason that this one was not made.
bool owns_group(const ContainerRecord& record) {
  return record.init.pid > 0 && !record.location.empty();
}

// Of a `create` that was killed between the making of the group and of the process. One that is not empty is not its own.
void remove_unused(const cgroup::Location& location) {
  for (int round = 0; round < kMaxUnusedRounds && !cgroup::remove_empty(location); ++round) ::poll(nullptr, 0, kKillPause_ms);
}

Result<> signal_all(const ContainerRecord& record, int signal) {
  if (owns_group(record) && signal != SIGKILL) return signal_each(record.location, signal);
  if (owns_group(record)) kill_all(record.location);
  auto sent = state::signal_process(record.init, signal);
  // Nobody is left: runc says nothing either.
  if (!sent && sent.error().kind != ErrorKind::kNotFound) return sent;
  return {};
}

Result<> kill_one(const Runtime& runtime, const std::string& id, int signal, const KillOptions& options) {
  const FoundContainer found = TRY(find_container(runtime, id));
  const ContainerRecord& record = found.state.record;
  const ContainerStatus status = found.state.status;
  if (options.all) return signal_all(record, signal);
  if (status == ContainerStatus::kStopped || status == ContainerStatus::kCreating) return not_running();
  // In a pid namespace that it shares its end is nobody else's, and the rest of the container would live on.
  if (signal == SIGKILL && !record.location.empty() && !is_first_of_namespace(record.init.pid)) return signal_all(record, signal);
  auto sent = state::signal_process(record.init, signal);
  if (!sent && sent.error().kind == ErrorKind::kNotFound) return not_running();
  if (!sent) return while_doing("signaling container " + id, sent.error());
  // Stopped by the v1 freezer, a process dies only when it goes on.
  if (signal == SIGKILL && status == ContainerStatus::kPaused) (void)cgroup::thaw(record.location);
  return {};
}

Result<> end_processes(const ContainerRecord& record, Result<> (*end_group)(const cgroup::Location&)) {
  auto sent = state::signal_process(record.init, SIGKILL);
  if (!sent && sent.error().kind != ErrorKind::kNotFound) return while_doing("killing the container", sent.error());
  if (owns_group(record)) TRY(end_group(record.location));
  if (!state::wait_for_end(record.init, kDyingTime)) return fail(ErrorKind::kSystem, "container init still running");
  return {};
}

struct Poststop {
  std::vector<oci::Hook> hooks;
  launch::HookOutput output;
  std::string problem;
};

Poststop poststop_of(const oci::Config& config) {
  Poststop poststop{.hooks = config.hooks.poststop, .output = {}, .problem = {}};
  if (poststop.hooks.empty()) return poststop;
  // They run all the same: nothing else undoes what the hooks before them did.
  auto output = launch::HookOutput::open(config);
  if (output) poststop.output = std::move(*output);
  if (!output) poststop.problem = output.error().message;
  return poststop;
}

Poststop poststop_of(const Container& container) {
  const auto not_run = [](const std::string& why) {
    return Poststop{.hooks = {}, .output = {}, .problem = "the poststop hooks were not run: " + why};
  };
  const auto text = container.read_config();
  // A `create` that was killed before it wrote it has run no hooks that these would undo.
  if (!text && text.error().kind == ErrorKind::kNotFound) return {};
  if (!text) return not_run(text.error().message);
  const auto config = oci::parse_config(*text);
  if (!config) return not_run(config.error().message);
  return poststop_of(*config);
}

void run_poststop(const Poststop& poststop, const ContainerRecord& record, const Warn& warn) {
  std::vector<std::string> problems;
  if (!poststop.problem.empty()) problems.push_back(poststop.problem);
  launch::HookOptions options;
  poststop.output.direct(options);
  // Some have removed the bundle already: the hooks run all the same.
  if (::access(record.bundle.c_str(), X_OK) == 0) options.directory = record.bundle;
  const std::string state = state::hook_state_json(record, "stopped");
  for (const Error& error : launch::run_all_hooks(poststop.hooks, "poststop", state, options)) problems.push_back(error.message);
  for (const std::string& problem : problems)
    if (warn) warn(problem);
}

bool may_be_removed(ContainerStatus status) {
  return status == ContainerStatus::kStopped || status == ContainerStatus::kCreated;
}

Failure not_stopped(const std::string& id, ContainerStatus status) {
  return fail(ErrorKind::kInvalid,
              "cannot delete container " + id + " that is not stopped: " + std::string(state::status_name(status)));
}

Result<> remove_one(const Runtime& runtime, const std::string& id, const DeleteOptions& options) {
  {
    const FoundContainer found = TRY(find_container(runtime, id));
    const ContainerStatus status = found.state.status;
    // A created one goes without force, as with runc and crun: who gives up before `start` calls it so.
    if (!options.force && !may_be_removed(status)) return not_stopped(id, status);
    // Before the lock is waited for: it may be held by a runtime that waits for this very process.
    if (options.force) TRY(end_processes(found.state.record, cgroup::kill));
  }
  Container container = TRY(Container::open(container_root(runtime), id, Container::Lock::kExclusive,
                                            options.force ? kForceLockTime : Container::kLockTime));
  if (!options.force) {
    const state::ContainerState state = TRY(container.state());
    if (!may_be_removed(state.status)) return not_stopped(id, state.status);
  }
  return destroy(container, options.warn);
}

// One that is gone is removed.
Result<> remove_listed(const Runtime& runtime, const std::string& id, const DeleteOptions& options) {
  auto removed = remove_one(runtime, id, options);
  if (!removed && removed.error().kind == ErrorKind::kNotFound) return {};
  return removed;
}

// For each of them, whatever happens to the others; the error is the first one's.
template <typename Action>
Result<> for_matching(const Runtime& runtime, const std::string& pattern, Action action) {
  Result<> result;
  const std::vector<std::string> ids = TRY(matching_containers(runtime, pattern));
  for (const std::string& id : ids) {
    auto done = action(id);
    if (!done && result) result = while_doing("container " + id, done.error());
  }
  return result;
}

}  // namespace

Result<> kill(const Runtime& runtime, const std::string& id, int signal, const KillOptions& options) {
  if (!options.regex) return kill_one(runtime, id, signal, options);
  return for_matching(runtime, id, [&](const std::string& each) { return kill_one(runtime, each, signal, options); });
}

Result<> remove(const Runtime& runtime, const std::string& id, const DeleteOptions& options) {
  if (options.regex)
    return for_matching(runtime, id, [&](const std::string& each) { return remove_listed(runtime, each, options); });
  return options.force ? remove_listed(runtime, id, options) : remove_one(runtime, id, options);
}

Result<> destroy(Container& container, const Warn& warn, const oci::Config* config) {
  const auto record = container.read();
  // The `create` that made it was killed before it had anything else.
  if (!record && record.error().kind == ErrorKind::kNotFound) return container.remove();
  if (!record) return std::unexpected(record.error());
  const Poststop poststop = config != nullptr ? poststop_of(*config) : poststop_of(container);
  TRY(end_processes(*record, cgroup::end));
  if (record->init.pid == 0 && record->location.driver == cgroup::Driver::kCgroupfs) remove_unused(record->location);
  TRY(resctrl::remove(record->intel_rdt_path));
  TRY(container.remove());
  run_poststop(poststop, *record, warn);
  return {};
}

Result<> remove_own(const Runtime& runtime, const ContainerRecord& own, const oci::Config& config, const Warn& warn) {
  auto container = Container::open(container_root(runtime), own.id, Container::Lock::kExclusive);
  if (!container && container.error().kind == ErrorKind::kNotFound) return {};
  if (!container) return std::unexpected(std::move(container).error());
  const auto record = container->read();
  if (record && record->created != own.created) return {};
  return destroy(*container, warn, &config);
}

}  // namespace clawrun::engine
