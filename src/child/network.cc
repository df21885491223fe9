#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEproto = -71;

struct Acknowledgement {
  nlmsghdr header;
  nlmsgerr error;
  char quoted[256];  // of the request; what is longer is cut off
};

long await_acknowledgement(long fd) {
  Acknowledgement answer{};
  const long size = sys(__NR_recvfrom, fd, &answer, sizeof answer, 0, nullptr, nullptr);
  if (size < 0) return size;
  return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : kEproto;
}

long send_requests(long fd, const NetlinkRequests& requests) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const long result = sys(__NR_sendto, fd, requests.bytes, requests.size, 0, &kernel, sizeof kernel);
  return result < 0 ? result : await_acknowledgement(fd);
}

void take_requests(const ChildPlan& plan, std::uint32_t index) {
  const NetlinkRequests& requests = plan.network_requests[index];
  const long fd =
      must(plan, Step::kNetworkRequests, sys(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, requests.protocol), index);
  must(plan, Step::kNetworkRequests, send_requests(fd, requests), index);
  if (requests.send_out) must(plan, Step::kNetworkRequests, send_descriptor(plan.control_fd, static_cast<int>(fd)), index);
  sys(__NR_close, fd);
}

struct Option {
  int family;  // 0: any
  int type;    // likewise
  int level;
  int name;
};

// The destination that a packet had before it was steered here: ip(7), ipv6(7). A socket of one family leaves the other's port to
// its own.
constexpr Option kOptions[] = {{AF_INET, 0, SOL_IP, IP_TRANSPARENT},
                               {AF_INET6, 0, SOL_IPV6, IPV6_TRANSPARENT},
                               {AF_INET6, 0, SOL_IPV6, IPV6_V6ONLY},
                               {AF_INET, SOCK_DGRAM, SOL_IP, IP_PKTINFO},
                               {AF_INET, SOCK_DGRAM, SOL_IP, IP_RECVORIGDSTADDR},
                               {AF_INET6, SOCK_DGRAM, SOL_IPV6, IPV6_RECVPKTINFO},
                               {AF_INET6, SOCK_DGRAM, SOL_IPV6, IPV6_RECVORIGDSTADDR}};

long set_options(const ChildPlan& plan, const GatewaySocket& socket, long fd) {
  constexpr int kOn = 1;
  for (const Option& option : kOptions) {
    if ((option.family != 0 && option.family != socket.family) || (option.type != 0 && option.type != socket.type)) continue;
    if (const long result = sys(__NR_setsockopt, fd, option.level, option.name, &kOn, sizeof kOn); result < 0) return result;
  }
  return sys(__NR_setsockopt, fd, SOL_SOCKET, SO_MARK, &plan.gateway_mark, sizeof plan.gateway_mark);
}

void open_gateway_socket(const ChildPlan& plan, std::uint32_t index) {
  constexpr int kBacklog = 4096;  // connections that come before the gateway has started
  const GatewaySocket& socket = plan.gateway_sockets[index];
  const auto done = [&](long result) { return must(plan, Step::kGatewaySocket, result, index); };
  const long fd = done(sys(__NR_socket, socket.family, socket.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  done(set_options(plan, socket, fd));
  done(sys(__NR_bind, fd, socket.address, socket.address_size));
  if (socket.type == SOCK_STREAM) done(sys(__NR_listen, fd, kBacklog));
  done(send_descriptor(plan.control_fd, static_cast<int>(fd)));
  sys(__NR_close, fd);
}

}  // namespace

void make_network(const ChildPlan& plan) {
  must(plan, Step::kNetwork, sys(__NR_unshare, CLONE_NEWNET));
  for (std::uint32_t i = 0; i < plan.network_request_count; ++i) take_requests(plan, i);
  for (std::uint32_t i = 0; i < plan.gateway_socket_count; ++i) open_gateway_socket(plan, i);
}

void send_network(const ChildPlan& plan, int socket) {
  const long fd = must(plan, Step::kNetwork, sys(__NR_openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  must(plan, Step::kNetwork, send_descriptor(socket, static_cast<int>(fd)));
  sys(__NR_close, fd);
}

void join_network(const ChildPlan& plan, int socket) {
  const long fd = must(plan, Step::kNetwork, receive_descriptor(socket));
  must(plan, Step::kNetwork, sys(__NR_setns, fd, CLONE_NEWNET));
  sys(__NR_close, fd);
}

}  // namespace clawrun::child
