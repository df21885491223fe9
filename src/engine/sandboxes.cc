#include "engine/sandboxes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "base/text.h"
#include "cgroup/location.h"
#include "state/process.h"

namespace clawrun::engine {

namespace {

Failure has_ended(const std::string& id) {
  return fail(ErrorKind::kNotFound, "sandbox " + quoted(id) + " has ended");
}

// Whether the supervisor still holds the record: a group goes a moment before it.
bool is_running(const state::Record& record) {
  const auto again = state::find(record.id);
  return again && again->id == record.id && again->created_ms == record.created_ms && again->supervisor == record.supervisor;
}

// Where no group counts it (on v1 one of its own would have to be joined at each start), the processes themselves tell.
void add_processor_time(const state::Record& record, cgroup::Usage& usage) {
  const auto pids = cgroup::processes(record.location);
  const long ticks_per_s = ::sysconf(_SC_CLK_TCK);
  if (!pids || pids->empty() || ticks_per_s <= 0) return;
  const std::uint64_t tick_us = 1'000'000U / static_cast<std::uint64_t>(ticks_per_s);
  std::uint64_t user_us = 0;
  std::uint64_t system_us = 0;
  for (const pid_t pid : *pids) {
    const auto stat = state::read_stat(pid);
    if (!stat) continue;  // it has ended, and its parent may not have waited for it yet
    user_us += stat->user_ticks * tick_us;
    system_us += stat->system_ticks * tick_us;
  }
  usage.cpu_user_us = user_us;
  usage.cpu_system_us = system_us;
  usage.cpu_us = user_us + system_us;
}

// kNotFound: it has ended since.
Result<Sandbox> measured(state::Record record) {
  Sandbox sandbox;
  if (!record.location.empty()) {
    auto usage = cgroup::read_usage(record.location);
    // While it is being set up it has no group yet, and at its end none any more.
    if (!usage && record.first.pid > 0) {
      if (!state::is_alive(record.first) || !is_running(record)) return has_ended(record.id);
      return std::unexpected(std::move(usage).error());
    }
    if (usage && !usage->cpu_us) add_processor_time(record, *usage);
    if (usage) sandbox.usage = std::move(*usage);
  }
  sandbox.record = std::move(record);
  return sandbox;
}

Result<state::Record> with_cgroup(const std::string& id) {
  state::Record record = TRY(state::find(id));
  if (!record.location.empty()) return record;
  return fail(ErrorKind::kUnsupported, "sandbox " + quoted(record.id) +
                                           " has no cgroup, so it has no limits to change and cannot be paused (clawrun doctor "
                                           "says what is missing here)");
}

template <typename Action>
Result<> act(const std::string& id, std::string_view doing, Action action) {
  const state::Record record = TRY(with_cgroup(id));
  const Result<> done = action(record.location);
  if (done) return {};
  if (!is_running(record)) return has_ended(record.id);
  return while_doing(std::string(doing) + " sandbox " + quoted(record.id), done.error());
}

}  // namespace

Result<Sandboxes> sandboxes() {
  state::Listing listing = TRY(state::list());
  Sandboxes found;
  found.problems = std::move(listing.problems);
  for (state::Record& record : listing.records) {
    const std::string id = record.id;
    auto sandbox = measured(std::move(record));
    if (sandbox)
      found.running.push_back(std::move(*sandbox));
    else if (sandbox.error().kind != ErrorKind::kNotFound)
      found.problems.push_back("sandbox " + quoted(id) + ": " + sandbox.error().message);
  }
  return found;
}

Result<Sandbox> sandbox(const std::string& id) {
  state::Record record = TRY(state::find(id));
  return measured(std::move(record));
}

Result<> update(const std::string& id, const cgroup::Limits& limits) {
  return act(id, "changing the limits of", [&](const cgroup::Location& location) { return cgroup::update(location, limits); });
}

Result<> pause(const std::string& id) {
  return act(id, "pausing", cgroup::freeze);
}

Result<> resume(const std::string& id) {
  return act(id, "resuming", cgroup::thaw);
}

state::Swept collect_garbage() {
  return state::sweep();
}

Result<Following> Following::begin(const std::string& id) {
  Following following;
  following.record_ = TRY(state::find(id));
  return following;
}

Result<Sandbox> Following::look() {
  auto record = state::find(record_.id);
  if (!record && record.error().kind != ErrorKind::kNotFound) return std::unexpected(std::move(record).error());
  if (!record || record->id != record_.id || record->created_ms != record_.created_ms ||
      record->supervisor.pid != record_.supervisor.pid)
    return has_ended(record_.id);
  if (!first_.valid() && record->first.pid > 0) {
    first_.reset(static_cast<int>(::syscall(SYS_pidfd_open, record->first.pid, 0)));
    // The number may have been given away before it was opened.
    if (!state::is_alive(record->first)) return has_ended(record_.id);
  }
  return measured(std::move(*record));
}

}  // namespace clawrun::engine
