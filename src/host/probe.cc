#include "host/probe.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <new>

#include "base/unique_fd.h"

namespace clawrun::host {

namespace {

void close_all_but(int kept) {
  const auto from = static_cast<unsigned>(kept);
  if (kept > 0) syscall(SYS_close_range, 0U, from - 1, 0U);
  if (syscall(SYS_close_range, from + 1, ~0U, 0U) == 0) return;
  for (int fd = 0; fd < 1024; ++fd)
    if (fd != kept) close(fd);
}

// The death of the child, whatever way, closes the pipe's write end: this works also where pidfd_open is refused.
[[noreturn]] void child_main(ProbePage& page, void (*body)(ProbePage&), int life_fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  close_all_but(life_fd);
  for (int i = 0; i < 3; ++i) open("/dev/null", O_RDWR);
  // The files in /proc/self of a non-dumpable process belong to root, and the id map is one of them.
  prctl(PR_SET_DUMPABLE, 1);
  const rlimit no_core{};
  setrlimit(RLIMIT_CORE, &no_core);
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  for (const int signal : {SIGCHLD, SIGPIPE, SIGSYS}) sigaction(signal, &plain, nullptr);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  body(page);
  page.done = true;
  _exit(0);
}

bool wait_for_death(int life_fd, int limit_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(limit_ms);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{.fd = life_fd, .events = 0, .revents = 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

void kill_child(pid_t pid, int pidfd) {
  if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) == 0) return;
  kill(pid, SIGKILL);
}

int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 0;
  return status;
}

}  // namespace

bool ProbePage::failed(std::int32_t failed_step) {
  step = failed_step;
  errno_value = errno;
  return false;
}

int ProbeResult::error() const {
  switch (end) {
    case ProbeEnd::kReturned:
      return page.errno_value;
    case ProbeEnd::kKilled:
      return EPERM;
    case ProbeEnd::kTimedOut:
      return ETIMEDOUT;
    case ProbeEnd::kNotStarted:
      return EAGAIN;
  }
  return EAGAIN;
}

ProbeResult run_probe(void (*body)(ProbePage&), const ProbeOptions& options) {
  ProbeResult result;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return result;
  const UniqueFd life(ends[0]);
  UniqueFd held_by_child(ends[1]);
  void* memory = mmap(nullptr, sizeof(ProbePage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return result;
  auto* page = new (memory) ProbePage{.input = options.input, .next = options.first};
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) child_main(*page, body, held_by_child.get(), parent);
  held_by_child.reset();
  if (child > 0) {
    const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    const bool in_time = wait_for_death(life.get(), options.limit_ms);
    if (!in_time) kill_child(child, pidfd.get());
    const int status = reap(child);
    result.page = *page;
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result.end = page->done ? ProbeEnd::kReturned : in_time ? ProbeEnd::kKilled : ProbeEnd::kTimedOut;
  }
  munmap(memory, sizeof(ProbePage));
  return result;
}

namespace {

// "0 4294967295 1": snprintf is no function that a child of a process with threads may call.
struct MapLine {
  char text[32];
  std::size_t length = 0;
  explicit MapLine(std::uint32_t outer_id) : text{} {
    append('0');
    append(' ');
    std::uint32_t scale = 1;
    while (outer_id / scale >= 10) scale *= 10;
    for (; scale > 0; scale /= 10) append(static_cast<char>('0' + (outer_id / scale % 10)));
    append(' ');
    append('1');
  }
  void append(char c) { text[length++] = c; }
};

bool write_file(const char* path, const char* text, std::size_t length) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text, length) == static_cast<ssize_t>(length);
  const int saved = errno;
  close(fd);
  errno = saved;
  return written;
}

}  // namespace

bool enter_user_namespace(ProbePage& page) {
  const MapLine uid_map(geteuid());
  const MapLine gid_map(getegid());
  if (unshare(CLONE_NEWUSER) != 0) return page.failed(kStepUnshareUser);
  // setgroups is denied first: without CAP_SETGID outside the kernel takes no gid map otherwise (user_namespaces(7)).
  if (!write_file("/proc/self/setgroups", "deny", 4) || !write_file("/proc/self/uid_map", uid_map.text, uid_map.length) ||
      !write_file("/proc/self/gid_map", gid_map.text, gid_map.length))
    return page.failed(kStepWriteMap);
  return true;
}

void run_in_grandchild(ProbePage& page, void (*body)(ProbePage&), std::int32_t step) {
  const pid_t grandchild = fork();
  if (grandchild < 0) {
    page.failed(step);
    return;
  }
  if (grandchild == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    page.value = 0;
    body(page);
    page.done = true;
    _exit(0);
  }
  reap(grandchild);
  if (page.done) return;
  errno = EPERM;  // killed on the way: only a filter does that
  page.failed(step);
}

}  // namespace clawrun::host
