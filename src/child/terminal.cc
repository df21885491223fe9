#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEnotty = -25;

}  // namespace

void open_terminal(const ChildPlan& plan) {
  const long master =
      must(plan, Step::kTerminal, sys(__NR_openat, AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  // Ours, and not something that the root planted there (CVE-2025-52565).
  struct statfs info {};
  must(plan, Step::kTerminal, sys(__NR_fstatfs, master, &info));
  if (info.f_type != DEVPTS_SUPER_MAGIC) fail(plan, Step::kTerminal, kEnotty);
  int unlocked = 0;
  must(plan, Step::kTerminal, sys(__NR_ioctl, master, TIOCSPTLCK, &unlocked));
  // By descriptor, never by the name below /dev/pts: ioctl_tty(2) TIOCGPTPEER
  const long terminal = must(plan, Step::kTerminal, sys(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
  must(plan, Step::kTerminal, sys(__NR_ioctl, terminal, TIOCSCTTY, 0));
  must(plan, Step::kTerminal, send_descriptor(plan.control_fd, static_cast<int>(master)));
  for (int fd = 0; fd <= 2; ++fd) must(plan, Step::kTerminal, sys(__NR_dup3, terminal, fd, 0));
  sys(__NR_close, terminal);
  sys(__NR_close, master);
}

}  // namespace clawrun::child
