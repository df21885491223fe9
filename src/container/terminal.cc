#include "container/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "container/in_root.h"
#include "container/mount.h"
#include "sys/sys.h"

namespace clawrun::container {

Result<Terminal> open_terminal(int root) {
  const UniqueFd pts = TRY(open_in_root(root, "/dev/pts"));
  struct statfs around {};
  if (::fstatfs(pts.get(), &around) != 0) return fail_errno("looking at /dev/pts");
  // Before anything there is opened: it may be any device of the image's.
  if (around.f_type != DEVPTS_SUPER_MAGIC)
    return fail(ErrorKind::kDenied, "/dev/pts is not a devpts (a terminal needs one in `mounts`)");
  Terminal terminal;
  terminal.master = UniqueFd(::openat(pts.get(), "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  if (!terminal.master.valid()) return fail_errno("opening /dev/pts/ptmx (a terminal needs a devpts in `mounts`)");
  struct statfs info {};
  struct stat node {};
  if (::fstatfs(terminal.master.get(), &info) != 0 || ::fstat(terminal.master.get(), &node) != 0)
    return fail_errno("looking at /dev/pts/ptmx");
  if (info.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(node.st_mode) || node.st_rdev != makedev(5, 2))
    return fail(ErrorKind::kDenied, "/dev/pts/ptmx is not that of a devpts");
  int unlocked = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlocked) != 0) return fail_errno("unlocking the terminal");
  // By descriptor, never by a name below /dev/pts: ioctl_tty(2)
  terminal.slave = UniqueFd(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave.valid()) return fail_errno("opening the terminal");
  return terminal;
}

Result<> send_master(int console_socket, const Terminal& terminal) {
  int number = 0;
  if (::ioctl(terminal.master.get(), TIOCGPTN, &number) != 0) return fail_errno("asking for the terminal's number");
  const std::string name = "/dev/pts/" + std::to_string(number);
  if (auto sent = sys::send_descriptor(console_socket, terminal.master.get(), name); !sent)
    return while_doing("the console socket", sent.error());
  return {};
}

Result<> set_size(int terminal, const oci::ConsoleSize& size) {
  const winsize window{size.height, size.width, 0, 0};
  if (::ioctl(terminal, TIOCSWINSZ, &window) != 0) return fail_errno("setting process.consoleSize");
  return {};
}

Result<> place_terminal(const Terminal& terminal, uid_t uid) {
  // So that its user can open it again by name.
  if (::fchown(terminal.slave.get(), uid, static_cast<gid_t>(-1)) != 0 && errno != EINVAL && errno != EPERM)
    return fail_errno("giving the terminal to its user");
  for (int fd = 0; fd <= 2; ++fd)
    if (::dup2(terminal.slave.get(), fd) < 0) return fail_errno("placing the terminal");
  return {};
}

Result<> control_terminal() {
  if (::ioctl(0, TIOCSCTTY, 0) != 0) return fail_errno("making it the controlling terminal");
  return {};
}

void give_pipes(uid_t uid) {
  for (int fd = 0; fd <= 2; ++fd) {
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && info.st_uid != uid) (void)!::fchown(fd, uid, static_cast<gid_t>(-1));
  }
}

Result<> take_null_device(int root) {
  const auto is_null = [](int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  };
  if (!is_null(0) && !is_null(1) && !is_null(2)) return {};
  // Opened only when it is known to be the null device: the image may have put anything there.
  const auto node = open_in_root(root, "/dev/null", LastLink::kRefuse);
  if (!node || !is_null(node->get())) return {};
  const UniqueFd own(::open(path_of(node->get()).c_str(), O_RDWR | O_CLOEXEC));
  if (!own.valid()) return {};  // on a mount without devices
  for (int fd = 0; fd <= 2; ++fd)
    if (is_null(fd) && ::dup2(own.get(), fd) < 0) return fail_errno("placing the null device");
  return {};
}

Result<> bind_console(int root, const Terminal& terminal) {
  const UniqueFd tree(
      static_cast<int>(::syscall(SYS_open_tree, terminal.slave.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree.valid()) return fail_errno("cloning the terminal");
  std::string name;
  const UniqueFd dev = TRY(open_parent_in_root(root, "/dev/console", name));
  // Never opened where it is there: it may be any device of the image's.
  const UniqueFd made(::openat(dev.get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_NOCTTY | O_CLOEXEC, 0600));
  // A link there would be followed to a place of its choice (CVE-2025-52565); what else is there is only covered.
  const UniqueFd place(::openat(dev.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!place.valid() || ::fstat(place.get(), &info) != 0) return fail_errno("making /dev/console");
  if (S_ISLNK(info.st_mode)) return fail(ErrorKind::kDenied, "/dev/console is a symbolic link in this root");
  return attach(tree.get(), place.get());
}

}  // namespace clawrun::container
