#include "gateway/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace clawrun::gateway {

Result<> Loop::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return fail_errno("making an epoll instance");
  return {};
}

Result<> Loop::watch(int fd, std::uint32_t epoll_events, Handler& handler) {
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = &handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("watching a descriptor");
  return {};
}

void Loop::change(int fd, std::uint32_t epoll_events, Handler& handler) {
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = &handler;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::forget(int fd) {
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::discard(std::unique_ptr<Handler> handler) {
  std::erase(again_, handler.get());
  discarded_.push_back(std::move(handler));
}

int Loop::wait_ms() const {
  if (!again_.empty()) return 0;
  if (times_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(times_.begin()->first - Clock::now());
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 60'000));
}

void Loop::run_due() {
  const Clock::time_point now = Clock::now();
  while (is_running_ && !times_.empty() && times_.begin()->first <= now) {
    Deadline& deadline = *times_.begin()->second;
    // Unset first: the call may set it again.
    deadline.clear();
    deadline.call_();
  }
}

Result<> Loop::run() {
  constexpr int kMaxEvents = 256;
  epoll_event events[kMaxEvents];
  while (is_running_) {
    const int count = epoll_wait(epoll_.get(), events, kMaxEvents, wait_ms());
    if (count < 0 && errno != EINTR) return fail_errno("waiting for events");
    for (int i = 0; i < count; ++i) static_cast<Handler*>(events[i].data.ptr)->on_ready(events[i].events);
    for (std::vector<Handler*> waiting = std::exchange(again_, {}); Handler * handler : waiting) {
      const bool is_gone = std::ranges::any_of(discarded_, [&](const auto& gone) { return gone.get() == handler; });
      if (!is_gone) handler->on_ready(0);
    }
    run_due();
    discarded_.clear();
  }
  return {};
}

void Deadline::set(Clock::duration from_now) {
  clear();
  at_ = loop_.times_.emplace(Clock::now() + from_now, this);
}

void Deadline::clear() {
  if (is_set()) loop_.times_.erase(at_);
  at_ = loop_.times_.end();
}

}  // namespace clawrun::gateway
