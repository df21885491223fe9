#include "gateway/listener.h"

#include <netinet/tcp.h>

namespace clawrun::gateway {

namespace {

constexpr int kOriginalDestination = 80;  // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, whose headers do not go with libc's
constexpr int kAccepts = 64;              // before others are served

void reset_connection(const UniqueFd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

Result<Endpoint> original_destination(int socket) {
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&local), &size) != 0) return fail_errno("looking at a connection");
  const auto reached = Endpoint::of(local);
  if (!reached) return fail(ErrorKind::kInternal, "a connection that is not of the internet");
  sockaddr_storage original{};
  size = sizeof original;
  // ENOENT, or ENOPROTOOPT without connection tracking: it was not redirected.
  if (getsockopt(socket, reached->address.is_v4() ? SOL_IP : SOL_IPV6, kOriginalDestination, &original, &size) != 0)
    return *reached;
  return Endpoint::of(original).value_or(*reached);
}

void Listener::on_ready(std::uint32_t /*epoll_events*/) {
  for (int i = 0; i < kAccepts; ++i) {
    UniqueFd client(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.valid()) {
      take(std::move(client));
      continue;
    }
    // ECONNABORTED and the like are the client's own. Without descriptors the loop would turn in vain until one is closed; the
    // limit on connections is below what makes that happen.
    if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) return;
  }
}

void Listener::take(UniqueFd client) {
  const int on = 1;
  (void)setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto to = original_destination(client.get());
  if (!to) return;
  if (context_.tasks.size() >= context_.limits.connections) {
    Event event;
    if (door_ == Connection::Door::kTransparent) {
      const Destination destination = destination_of(context_, *to);
      event.host = destination.name;
      event.address = to->address;
      event.port = to->port;
    }
    event.reason = "the limit of " + std::to_string(context_.limits.connections) + " connections is reached";
    context_.events.say(event);
    return reset_connection(client);
  }
  auto& task = context_.tasks.add(std::make_unique<Connection>(context_, std::move(client), door_));
  static_cast<Connection&>(task).start(door_ == Connection::Door::kTransparent ? *to : Endpoint{});
}

}  // namespace clawrun::gateway
