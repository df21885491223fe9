// System calls of the host side, each wrapped once under its own name, failing as Result.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::sys {

struct Ends {
  UniqueFd first;   // a pipe's read end
  UniqueFd second;  // a pipe's write end
};

// All descriptors made here are close-on-exec and above 2, even where the process has its standard streams closed.

// pipe2(2).
Result<Ends> pipe();

// socketpair(2), SOCK_SEQPACKET.
Result<Ends> socket_pair();

// A sealed, executable, unreadable-to-others memfd with these bytes: memfd_create(2), F_ADD_SEALS. Its mode is 0111, so a
// process that executes it and does not own it can neither be traced nor read by its peers: proc(5) "dumpable".
Result<UniqueFd> executable_memfd(const char* name, std::span<const unsigned char> bytes);

// open(2) with O_CLOEXEC added.
Result<UniqueFd> open(const std::string& path, int flags, mode_t mode = 0);

// The whole of a file, at most `limit` bytes; a larger one is an error.
Result<std::string> read_file(const std::string& path, std::size_t limit);

// Writes all of `bytes`, over short writes and EINTR.
Result<> write_all(int fd, std::string_view bytes);

// Opens and writes a file of procfs in one write(2), as the kernel wants it.
Result<> write_proc_file(const std::string& path, std::string_view bytes);

// open_tree(2) OPEN_TREE_CLONE: a detached copy of a mount, in no peer group with it.
Result<UniqueFd> open_tree_clone(const std::string& path, bool recursive);

// mount_setattr(2) on a detached mount and those below it: MOUNT_ATTR_* to be set.
Result<> set_mount_attributes(int mount_fd, std::uint64_t attributes);

// mount_setattr(2) MOUNT_ATTR_IDMAP on a detached mount and those below it.
Result<> set_idmap(int mount_fd, int user_namespace_fd, bool recursive);

// pidfd_open(2).
Result<UniqueFd> pidfd_open(pid_t pid);

// pidfd_send_signal(2); ESRCH where it has ended.
Result<> pidfd_send_signal(int pidfd, int signal);

// pidfd_send_signal(2), or kill(2) where that is refused; the process must be an unreaped child of the caller.
void send_signal(int pidfd, pid_t pid, int signal);

// How a child has ended, as wait4(2) gives it.
struct Ended {
  int wait_status = 0;
  rusage usage{};
};

// waitid(2) P_PIDFD: waits for the end of a child and reaps it, whatever signal its end sends. ECHILD: it has ended, and somebody
// else has reaped it, or nobody because SIGCHLD is ignored.
Result<Ended> reap(int pidfd, pid_t pid);

// A timer that is readable from then on: timerfd_create(2), CLOCK_MONOTONIC, which no suspension counts in.
Result<UniqueFd> timer_after(std::chrono::nanoseconds time);
// Sets it anew; zero: never.
void set_timer(int timer, std::chrono::nanoseconds time);

// A message that carries a descriptor: unix(7) SCM_RIGHTS. `text` must not be empty.
Result<> send_descriptor(int socket, int fd, std::string_view text);
// Several in one message, at most 8.
Result<> send_descriptors(int socket, std::span<const int> fds, std::string_view text);

// The descriptor that the one message waiting on a socket carries: unix(7) SCM_RIGHTS.
Result<UniqueFd> receive_descriptor(int socket);

// CLOCK_MONOTONIC in nanoseconds.
std::uint64_t monotonic_ns();

}  // namespace clawrun::sys
