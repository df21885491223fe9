#include "state/container_process.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <string>

#include "state/process.h"
#include "sys/sys.h"

namespace clawrun::state {

namespace {

Failure ended(const Process& process) {
  return fail(ErrorKind::kNotFound, "process " + std::to_string(process.pid) + " has ended");
}

bool has_no_pidfds(const Error& error) {
  return error.errno_value == ENOSYS || error.errno_value == EPERM;
}

}  // namespace

Result<UniqueFd> open_process(const Process& process) {
  if (process.pid <= 0) return ended(process);
  auto pidfd = sys::pidfd_open(process.pid);
  if (!pidfd && is_gone(pidfd.error())) return ended(process);
  if (!pidfd) return pidfd;
  if (!is_alive(process)) return ended(process);
  return pidfd;
}

Result<> signal_process(const Process& process, int signal) {
  auto pidfd = open_process(process);
  Result<> sent;
  if (pidfd) {
    sent = sys::pidfd_send_signal(pidfd->get(), signal);
    if (sent) return {};
  } else {
    if (!has_no_pidfds(pidfd.error())) return std::unexpected(std::move(pidfd).error());
    if (!is_alive(process)) return ended(process);
    if (::kill(process.pid, signal) == 0) return {};
    sent = fail_errno("sending a signal");
  }
  if (sent.error().errno_value == ESRCH) return ended(process);
  return while_doing("process " + std::to_string(process.pid), sent.error());
}

bool wait_for_end(const Process& process, std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  const auto pidfd = open_process(process);
  if (!pidfd && pidfd.error().kind == ErrorKind::kNotFound) return true;
  for (int pause_ms = 1;; pause_ms = std::min(pause_ms * 2, 50)) {
    if (!is_alive(process)) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    // A pidfd is readable when the process is a zombie, unless threads of it live on: then it is asked for again.
    pollfd end{pidfd ? pidfd->get() : -1, POLLIN, 0};
    const int ready = ::poll(&end, 1, static_cast<int>(pidfd ? left : std::min<long>(left, pause_ms)));
    if (ready > 0) return true;
  }
}

}  // namespace clawrun::state
