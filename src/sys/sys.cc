#include "sys/sys.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <ctime>

#include "base/text.h"

namespace clawrun::sys {

namespace {

constexpr unsigned kMfdExec = 0x10;  // Linux 6.3: memfd_create(2)
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kAtRecursive = 0x8000;

UniqueFd above_stdio(int fd) {
  UniqueFd owned(fd);
  if (fd >= 0 && fd <= 2) return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  return owned;
}

}  // namespace

Result<Ends> pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("making a pipe");
  return Ends{above_stdio(ends[0]), above_stdio(ends[1])};
}

Result<Ends> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("making a socket pair");
  return Ends{above_stdio(ends[0]), above_stdio(ends[1])};
}

Result<UniqueFd> executable_memfd(const char* name, std::span<const unsigned char> bytes) {
  UniqueFd fd = above_stdio(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdExec));
  if (!fd.valid() && errno == EINVAL) fd = above_stdio(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return fail_errno("making an executable memfd (is the sysctl vm.memfd_noexec 2?)");
  TRY(write_all(fd.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  if (::fchmod(fd.get(), 0111) != 0) return fail_errno("changing the mode of a memfd");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return fail_errno("sealing a memfd");
  return fd;
}

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) {
  const int opened = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (opened < 0) return fail_errno(shown(path));
  UniqueFd fd = above_stdio(opened);
  if (!fd.valid()) return fail_errno(shown(path));
  return fd;
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd = TRY(open(path, O_RDONLY | O_NOCTTY));
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading " + shown(path));
    if (size == 0) return text;
    if (text.size() + static_cast<std::size_t>(size) > limit)
      return fail(ErrorKind::kInvalid, path + ": larger than the allowed " + std::to_string(limit) + " bytes");
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("writing");
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

Result<> write_proc_file(const std::string& path, std::string_view bytes) {
  const UniqueFd fd = TRY(open(path, O_WRONLY));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return fail_errno("writing " + shown(path));
  return {};
}

Result<UniqueFd> open_tree_clone(const std::string& path, bool recursive) {
  const unsigned flags = kOpenTreeClone | O_CLOEXEC | AT_NO_AUTOMOUNT | (recursive ? kAtRecursive : 0U);
  UniqueFd fd = above_stdio(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags)));
  if (!fd.valid()) return fail_errno(shown(path));
  mount_attr attr{};
  attr.propagation = 1U << 18U;  // MS_PRIVATE, which sys/mount.h and linux/mount.h both define
  const unsigned how = static_cast<unsigned>(AT_EMPTY_PATH) | (recursive ? kAtRecursive : 0U);
  if (::syscall(SYS_mount_setattr, fd.get(), "", how, &attr, sizeof attr) != 0)
    return fail_errno("taking " + shown(path) + " out of its peer group");
  return fd;
}

Result<> set_mount_attributes(int mount_fd, std::uint64_t attributes) {
  mount_attr attr{};
  attr.attr_set = attributes;
  const unsigned flags = static_cast<unsigned>(AT_EMPTY_PATH) | kAtRecursive;
  if (::syscall(SYS_mount_setattr, mount_fd, "", flags, &attr, sizeof attr) != 0)
    return fail_errno("setting the attributes of a mount");
  return {};
}

Result<> set_idmap(int mount_fd, int user_namespace_fd, bool recursive) {
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<unsigned>(user_namespace_fd);
  const unsigned flags = static_cast<unsigned>(AT_EMPTY_PATH) | (recursive ? kAtRecursive : 0U);
  if (::syscall(SYS_mount_setattr, mount_fd, "", flags, &attr, sizeof attr) != 0) return fail_errno("mapping the ids of a mount");
  return {};
}

Result<UniqueFd> pidfd_open(pid_t pid) {
  UniqueFd fd = above_stdio(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return fail_errno("opening process " + std::to_string(pid));
  return fd;
}

Result<> pidfd_send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) return fail_errno("sending a signal");
  return {};
}

void send_signal(int pidfd, pid_t pid, int signal) {
  if (pidfd >= 0 && ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return;
  // ESRCH is a process that is already dead. Otherwise the call itself is refused; the child is not reaped yet, so its
  // number cannot have become another process's.
  if (pidfd < 0 || errno != ESRCH) ::kill(pid, signal);
}

Result<Ended> reap(int pidfd, pid_t pid) {
  constexpr int kOptions = WEXITED | __WALL;
  Ended ended;
  siginfo_t info{};
  // The raw call: only it gives the use of resources.
  const auto wait = [&](idtype_t type, id_t which) {
    long result = 0;
    do {
      result = ::syscall(SYS_waitid, type, which, &info, kOptions, &ended.usage);
    } while (result < 0 && errno == EINTR);
    return result;
  };
  long result = pidfd >= 0 ? wait(P_PIDFD, static_cast<id_t>(pidfd)) : -1;
  // Linux 5.4 has P_PIDFD. By its number it is found as long as nobody has reaped it.
  if (result < 0 && (pidfd < 0 || errno == EINVAL)) result = wait(P_PID, static_cast<id_t>(pid));
  if (result < 0) return fail_errno("waiting for process " + std::to_string(pid));
  // wait(2): the two ways in which the kernel says the same.
  ended.wait_status = info.si_code == CLD_EXITED   ? info.si_status << 8
                      : info.si_code == CLD_DUMPED ? info.si_status | 0x80
                                                   : info.si_status;
  return ended;
}

Result<UniqueFd> timer_after(std::chrono::nanoseconds time) {
  UniqueFd timer = above_stdio(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.valid()) return fail_errno("making a timer");
  set_timer(timer.get(), time);
  return timer;
}

void set_timer(int timer, std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = (time - seconds).count();
  ::timerfd_settime(timer, 0, &when, nullptr);
}

Result<> send_descriptor(int socket, int fd, std::string_view text) {
  return send_descriptors(socket, {&fd, 1}, text);
}

Result<> send_descriptors(int socket, std::span<const int> fds, std::string_view text) {
  constexpr std::size_t kMost = 8;
  if (fds.empty() || fds.size() > kMost) return fail(ErrorKind::kInternal, "too many descriptors for one message");
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(message), fds.data(), fds.size_bytes());
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) return fail_errno("sending a descriptor");
  return {};
}

Result<UniqueFd> receive_descriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char buffer[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = buffer;
  message.msg_controllen = sizeof buffer;
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("receiving a descriptor");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (size != 1 || header == nullptr || header->cmsg_type != SCM_RIGHTS) return fail(ErrorKind::kSystem, "no descriptor came");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return above_stdio(fd);
}

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace clawrun::sys
