// Pid 1 of a sandbox: reaps, forwards signals to the command, reports its wait status, and dies with its supervisor.
// No libc and no heap. It holds no capability, and no process of the sandbox can look into it: the file it runs from cannot be
// read.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/wait.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <csignal>

#include "child/raw.h"
#include "init/protocol.h"

namespace clawrun::init {
namespace {

using child::sys;

constexpr long kCommand = 2;  // the pid of the command: the second process of this pid namespace
constexpr long kInterrupted = -4;

// What a terminal sends to its foreground process group goes to the group of the command; what a person or a program sends
// to one process goes to the command alone (USR1 would kill children that never asked for it).
constexpr bool goes_to_group(unsigned signal) {
  return signal == SIGINT || signal == SIGQUIT || signal == SIGHUP || signal == SIGWINCH;
}

constexpr unsigned kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

constexpr std::uint64_t signal_mask() {
  std::uint64_t mask = 1ULL << (SIGCHLD - 1);
  for (const unsigned signal : kForwarded) mask |= 1ULL << (signal - 1);
  return mask;
}

[[noreturn]] void leave(int code) {
  for (;;) sys(__NR_exit_group, code);
}

// systemd removes a cgroup as soon as it is empty, and with it all that it counted: init stays in it until the
// supervisor has read that. Without the descriptor the call fails at once.
void linger() {
  char byte = 0;
  while (sys(__NR_read, kLingerFd, &byte, 1) == kInterrupted) {
  }
}

// Reaps whatever is dead. When it is the command, reports and ends: the kernel then kills all else in the namespace.
void reap() {
  for (;;) {
    int status = 0;
    const long pid = sys(__NR_wait4, -1, &status, WNOHANG, nullptr);
    if (pid == kInterrupted) continue;
    if (pid <= 0) return;
    if (pid != kCommand) continue;
    const Status message{status};
    sys(__NR_sendto, kControlFd, &message, sizeof message, 0x4000 /* MSG_NOSIGNAL */, nullptr, 0);
    linger();
    leave(0);
  }
}

void forward(int signal_fd) {
  signalfd_siginfo info;
  if (sys(__NR_read, signal_fd, &info, sizeof info) != sizeof info) return;
  // Only the supervisor's signals: those of processes in the sandbox carry the sender's pid here, those from outside 0.
  if (info.ssi_signo == SIGCHLD || info.ssi_pid != 0) return;
  sys(__NR_kill, goes_to_group(info.ssi_signo) ? -kCommand : kCommand, info.ssi_signo);
}

// Nothing but what the loop below does: whoever came to run code in here would have little to run it with.
bool confine() {
#if defined(__x86_64__)
  constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
  constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif
  constexpr std::uint32_t kAllowed[] = {__NR_ppoll, __NR_read, __NR_wait4, __NR_kill, __NR_sendto, __NR_exit_group};
  constexpr std::size_t kCalls = sizeof kAllowed / sizeof *kAllowed;
  sock_filter filter[kCalls + 5];
  filter[0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4 /* offsetof(seccomp_data, arch) */);
  filter[1] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 0, kCalls + 1);
  filter[2] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0 /* offsetof(seccomp_data, nr) */);
  for (std::size_t i = 0; i < kCalls; ++i)
    filter[3 + i] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kAllowed[i], static_cast<std::uint8_t>(kCalls - i), 0);
  filter[kCalls + 3] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[kCalls + 4] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{kCalls + 5, filter};
  return sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

[[noreturn]] void run() {
  const std::uint64_t mask = signal_mask();
  sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
  const long signal_fd = sys(__NR_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC | SFD_NONBLOCK);
  sys(__NR_close, kGateFd);
  const bool has_deadline = sys(__NR_fcntl, kDeadlineFd, 1 /* F_GETFD */) >= 0;
  if (signal_fd < 0 || !confine()) leave(1);
  pollfd watched[3] = {
      {static_cast<int>(signal_fd), POLLIN, 0}, {kControlFd, POLLIN, 0}, {has_deadline ? kDeadlineFd : -1, POLLIN, 0}};
  for (;;) {
    reap();
    const long ready = sys(__NR_ppoll, watched, 3, nullptr, nullptr, 0);
    if (ready == kInterrupted) continue;
    // The supervisor sends nothing after the gate: readable or hung up, it is gone (or not ours).
    if (ready < 0 || watched[1].revents != 0 || watched[2].revents != 0) leave(1);
    forward(static_cast<int>(signal_fd));
  }
}

}  // namespace
}  // namespace clawrun::init

// The kernel enters here with the stack pointer at argc; nothing of it is used, so no start-up code is needed.
extern "C" [[noreturn]] void _start() {
  clawrun::init::run();
}
