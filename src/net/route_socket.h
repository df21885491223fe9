// A conversation with the kernel about the interfaces of one network namespace: rtnetlink(7).
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/message.h"

namespace clawrun::net {

class RouteSocket {
 public:
  // Of the namespace that the calling thread is in, for as long as the socket lives, whichever the thread is in later. A
  // namespace does not end while it has such a socket.
  static Result<RouteSocket> open();
  // Of another one; the thread is there only meanwhile. Needs CAP_SYS_ADMIN over both: setns(2).
  static Result<RouteSocket> open_in(int namespace_fd);

  // Sends a request that has NLM_F_ACK or NLM_F_DUMP, and returns when the kernel has done it. An error has the kernel's own
  // words, where it has some. EINTR: a list changed while it was told.
  Result<> ask(const Request& request, const std::function<void(const Reply&)>& on_reply = {});

 private:
  explicit RouteSocket(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<std::string_view> receive();

  UniqueFd socket_;
  std::uint32_t sequence_ = 0;
  std::string packet_;
};

}  // namespace clawrun::net
