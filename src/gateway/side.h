// One end of a connection: its socket, and what the loop has said about it.
#pragma once

#include <sys/epoll.h>

#include "base/unique_fd.h"
#include "gateway/loop.h"

namespace clawrun::gateway {

class Side : public Handler {
 public:
  explicit Side(Handler& owner) : owner_(owner) {}

  // Both stay set until a call on the socket says EAGAIN: the loop tells only changes.
  bool is_readable = false;
  bool is_writable = false;
  UniqueFd fd;

  [[nodiscard]] Result<> watch(Loop& loop) { return loop.watch(fd.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this); }
  void on_ready(std::uint32_t events) override {
    constexpr std::uint32_t kEnded = EPOLLHUP | EPOLLERR;
    is_readable = is_readable || (events & (EPOLLIN | EPOLLRDHUP | kEnded)) != 0;
    is_writable = is_writable || (events & (EPOLLOUT | kEnded)) != 0;
    owner_.on_ready(events);
  }

 private:
  Handler& owner_;
};

}  // namespace clawrun::gateway
