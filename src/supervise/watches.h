// What a supervision waits for: one epoll(7) descriptor, which is readable when any of it has happened.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::supervise {

enum class Watched : std::uint8_t { kEnd, kTimer, kSignals, kControl, kEvents, kNetwork, kInput, kOutput, kError, kCount };

class Watches {
 public:
  static Result<Watches> open();

  [[nodiscard]] int fd() const { return epoll_.get(); }

  // What this one waits for from now on; a descriptor of -1 or no events: nothing. Nothing is asked of the kernel where it is so
  // already. One descriptor can stand for one thing only. EPERM: a file that never makes anybody wait.
  Result<> want(Watched which, int fd, std::uint32_t events);

  // Calls handle(which, events) for all that has happened by now.
  template <typename Handle>
  void take(Handle handle) const {
    epoll_event events[kWatched];
    const int count = ::epoll_wait(epoll_.get(), events, kWatched, 0);
    for (int i = 0; i < count; ++i) handle(static_cast<Watched>(events[i].data.u32), events[i].events);
  }

 private:
  static constexpr int kWatched = static_cast<int>(Watched::kCount);
  struct Row {
    int fd = -1;
    std::uint32_t events = 0;
  };
  UniqueFd epoll_;
  std::array<Row, kWatched> rows_;
};

}  // namespace clawrun::supervise
