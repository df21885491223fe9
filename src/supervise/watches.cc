#include "supervise/watches.h"

#include <fcntl.h>

namespace clawrun::supervise {

Result<Watches> Watches::open() {
  Watches watches;
  watches.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  // Never one of the standard streams, which the process may have closed.
  if (watches.epoll_.valid() && watches.epoll_.get() <= 2)
    watches.epoll_.reset(::fcntl(watches.epoll_.get(), F_DUPFD_CLOEXEC, 3));
  if (!watches.epoll_.valid()) return fail_errno("making an epoll descriptor");
  return watches;
}

Result<> Watches::want(Watched which, int fd, std::uint32_t events) {
  if (fd < 0 || events == 0) {
    fd = -1;
    events = 0;
  }
  Row& row = rows_[static_cast<std::size_t>(which)];
  if (row.fd == fd && row.events == events) return {};
  // Removed, not set to no events: a descriptor that was hung up would be reported for ever.
  if (row.fd >= 0 && row.fd != fd) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, row.fd, nullptr);
  epoll_event event{};
  event.events = events;
  event.data.u32 = static_cast<std::uint32_t>(which);
  const bool known = row.fd >= 0 && row.fd == fd;
  row = {};
  if (fd < 0) return {};
  if (::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno("watching a descriptor");
  row = {fd, events};
  return {};
}

}  // namespace clawrun::supervise
