#include "gateway/datagram.h"

#include <cstring>

namespace clawrun::gateway {

namespace {

// The kernel aligns what it writes as cmsghdr.
struct alignas(cmsghdr) Control {
  char bytes[256];
};

int family_of(int socket) {
  int family = 0;
  socklen_t size = sizeof family;
  return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 ? family : -1;
}

template <typename T>
void put(msghdr& message, int level, int type, const T& value) {
  message.msg_controllen = CMSG_SPACE(sizeof value);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

std::optional<Endpoint> destination(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    const bool v4 = header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVORIGDSTADDR;
    const bool v6 = header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVORIGDSTADDR;
    if (!v4 && !v6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, CMSG_DATA(header), v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    return Endpoint::of(storage);
  }
  return std::nullopt;
}

}  // namespace

Result<> ask_for_destinations(int socket) {
  const int on = 1;
  const int family = family_of(socket);
  // A socket of IPv6 may carry IPv4 as well.
  if (family == AF_INET6) (void)setsockopt(socket, SOL_IP, IP_RECVORIGDSTADDR, &on, sizeof on);
  // An address that is local by a route alone may not be the source of an answer otherwise, in IPv6.
  if (family == AF_INET6) (void)setsockopt(socket, SOL_IPV6, IPV6_FREEBIND, &on, sizeof on);
  const int done = family == AF_INET ? setsockopt(socket, SOL_IP, IP_RECVORIGDSTADDR, &on, sizeof on)
                                     : setsockopt(socket, SOL_IPV6, IPV6_RECVORIGDSTADDR, &on, sizeof on);
  if (done != 0) return fail_errno("asking for the destinations of datagrams");
  return {};
}

std::optional<Datagram> receive_datagram(int socket, std::span<std::uint8_t> buffer) {
  Control control{};
  sockaddr_storage from{};
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT);
  if (size < 0) return std::nullopt;
  const auto source = Endpoint::of(from);
  const auto to = destination(message);
  if (!source || !to) return std::nullopt;
  return Datagram{static_cast<std::size_t>(size), *source, *to};
}

void answer_datagram(int socket, const Datagram& back, std::span<const std::uint8_t> bytes) {
  Control control{};
  sockaddr_storage to{};
  iovec part{.iov_base = const_cast<std::uint8_t*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = back.from.write(to);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  if (back.from.address.is_v4()) {
    in_pktinfo source{};
    source.ipi_spec_dst = back.to.address.v4();
    put(message, SOL_IP, IP_PKTINFO, source);
  } else {
    in6_pktinfo source{};
    source.ipi6_addr = back.to.address.v6();
    put(message, SOL_IPV6, IPV6_PKTINFO, source);
  }
  (void)sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace clawrun::gateway
