#include <linux/netlink.h>
#include <linux/sched.h>
#include <sys/socket.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEproto = -71;

// One request, one acknowledgement (netlink(7)): the message was written by libnl when clawrun was built.
long bring_up_loopback(const ChildPlan& plan) {
  const long fd = sys(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return fd;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  long result = sys(__NR_sendto, fd, plan.loopback_request, plan.loopback_request_size, 0, &kernel, sizeof kernel);
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char quoted[256];
  } answer{};
  if (result >= 0) result = sys(__NR_recvfrom, fd, &answer, sizeof answer, 0, nullptr, nullptr);
  sys(__NR_close, fd);
  if (result < 0) return result;
  return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : kEproto;
}

}  // namespace

void make_network(const ChildPlan& plan) {
  must(plan, Step::kNetwork, sys(__NR_unshare, CLONE_NEWNET));
  must(plan, Step::kLoopback, bring_up_loopback(plan));
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
