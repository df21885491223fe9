#include "net/route_socket.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::net {

namespace {

// Twice what the kernel fills at most for one packet of a dump.
constexpr std::size_t kPacketBytes = std::size_t{64} << 10U;

// NLMSG_ERROR and NLMSG_DONE both begin with a negative errno, and may have words after it: NETLINK_EXT_ACK in netlink(7).
Result<> verdict_of(const Reply& reply) {
  const auto error = value_at_start<int>(reply.payload);
  if (!error) return fail(ErrorKind::kInternal, "netlink: the kernel's answer is cut off");
  if (*error == 0) return {};
  Failure failure = fail_errno("netlink", -*error);
  const auto attributes = attributes_in(reply.payload, reply.type == NLMSG_ERROR ? sizeof(nlmsgerr) : sizeof(int));
  if (const auto words = find_attribute(attributes, NLMSGERR_ATTR_MSG))
    failure.error().message += " (" + shown(text_of(*words)) + ")";
  return failure;
}

}  // namespace

Result<RouteSocket> RouteSocket::open() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return fail_errno("opening a netlink socket");
  // Both only make answers better, and older kernels know neither.
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return RouteSocket(std::move(socket));
}

Result<RouteSocket> RouteSocket::open_in(int namespace_fd) {
  const UniqueFd own = TRY(sys::open("/proc/thread-self/ns/net", O_RDONLY));
  if (::setns(namespace_fd, CLONE_NEWNET) != 0) return fail_errno("entering the network namespace");
  auto socket = open();
  // In the wrong namespace nothing may go on as if it were the right one.
  if (::setns(own.get(), CLONE_NEWNET) != 0) return fail_errno("going back to the runtime's own network namespace");
  return socket;
}

Result<std::string_view> RouteSocket::receive() {
  packet_.resize(kPacketBytes);
  for (;;) {
    sockaddr_nl sender{};
    iovec part{packet_.data(), packet_.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = ::recvmsg(socket_.get(), &message, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("netlink");
    // Other processes may send to the socket, too: only number 0 is the kernel.
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) return fail(ErrorKind::kInternal, "netlink: the kernel's answer is too long");
    return std::string_view(packet_).substr(0, static_cast<std::size_t>(size));
  }
}

Result<> RouteSocket::ask(const Request& request, const std::function<void(const Reply&)>& on_reply) {
  const std::string bytes = request.bytes(++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(socket_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail_errno("netlink");
  bool changed = false;
  for (;;) {
    const std::string_view packet = TRY(receive());
    for (const Reply& reply : replies_in(packet)) {
      if (reply.sequence != sequence_) continue;
      changed = changed || (reply.flags & NLM_F_DUMP_INTR) != 0;
      if (reply.type == NLMSG_ERROR || reply.type == NLMSG_DONE) {
        TRY(verdict_of(reply));
        if (changed) return fail_errno("netlink", EINTR);
        return {};
      }
      if (on_reply) on_reply(reply);
    }
  }
}

}  // namespace clawrun::net
