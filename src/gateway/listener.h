// The listening sockets of the sandbox: connections are taken from them as long as there is room.
#pragma once

#include "gateway/connection.h"
#include "gateway/context.h"

namespace clawrun::gateway {

class Listener final : public Handler {
 public:
  Listener(Context& context, UniqueFd socket, Connection::Door door)
      : context_(context), socket_(std::move(socket)), door_(door) {}
  Result<> watch() { return context_.loop.watch(socket_.get(), EPOLLIN, *this); }
  void on_ready(std::uint32_t epoll_events) override;

 private:
  void take(UniqueFd client);

  Context& context_;
  UniqueFd socket_;
  Connection::Door door_;
};

// Whom the client of an accepted socket meant: what a nat redirect has replaced, else the address that it has reached.
Result<Endpoint> original_destination(int socket);

}  // namespace clawrun::gateway
