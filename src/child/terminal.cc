#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEnotty = -25;

void send_descriptor(const ChildPlan& plan, int fd) {
  char byte = 't';
  struct {
    std::uint64_t data;
    std::size_t size;
  } part{reinterpret_cast<std::uint64_t>(&byte), 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  auto* header = reinterpret_cast<cmsghdr*>(control);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = fd;
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(&part);
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  must(plan, Step::kTerminal, sys(__NR_sendmsg, plan.control_fd, &message, MSG_NOSIGNAL));
}

}  // namespace

void open_terminal(const ChildPlan& plan) {
  const long master = must(plan, Step::kTerminal, sys(__NR_openat, AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  // Ours, and not something that the root planted there (CVE-2025-52565).
  struct statfs info {};
  must(plan, Step::kTerminal, sys(__NR_fstatfs, master, &info));
  if (info.f_type != DEVPTS_SUPER_MAGIC) fail(plan, Step::kTerminal, kEnotty);
  int unlocked = 0;
  must(plan, Step::kTerminal, sys(__NR_ioctl, master, TIOCSPTLCK, &unlocked));
  // By descriptor, never by the name below /dev/pts: ioctl_tty(2) TIOCGPTPEER
  const long terminal = must(plan, Step::kTerminal, sys(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
  must(plan, Step::kTerminal, sys(__NR_ioctl, terminal, TIOCSCTTY, 0));
  send_descriptor(plan, static_cast<int>(master));
  for (int fd = 0; fd <= 2; ++fd) must(plan, Step::kTerminal, sys(__NR_dup3, terminal, fd, 0));
  sys(__NR_close, terminal);
  sys(__NR_close, master);
}

}  // namespace clawrun::child
