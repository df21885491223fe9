#include "state/leftovers.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/text.h"

namespace clawrun::state {

namespace {

// Dying takes longer than this only where a process hangs in the kernel.
constexpr int kDyingTime_ms = 5000;

// With pid 1 the kernel ends all of the pid namespace: pid_namespaces(7).
Result<> end_first(const Process& first) {
  if (!is_alive(first)) return {};
  const std::string who = "the sandbox's first process, " + std::to_string(first.pid);
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, first.pid, 0)));
  if (!pidfd.valid()) return fail_errno("opening " + who);
  // The number may have been given away since: only now it cannot any more.
  if (!is_alive(first)) return {};
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno("killing " + who);
  pollfd ended{pidfd.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, kDyingTime_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready > 0) return {};
  return fail(ErrorKind::kSystem, who + " does not end; clawrun gc tries again");
}

}  // namespace

Result<> end_leftovers(const Record& record) {
  const bool group = !record.location.empty();
  if (group) TRY(cgroup::kill(record.location));
  TRY(end_first(record.first));
  if (group) TRY(cgroup::remove(record.location));
  return {};
}

}  // namespace clawrun::state
