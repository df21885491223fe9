#include "supervise/supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "init/protocol.h"
#include "supervise/relay.h"
#include "supervise/terminal.h"
#include "sys/sys.h"
#include "tables/signals.h"

namespace clawrun::supervise {

namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

std::uint64_t microseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000U + static_cast<std::uint64_t>(time.tv_usec);
}

// Writing to a reader that has gone away must not kill the host of the library, whose SIGPIPE is its own affair.
class PipeSignalGuard {
 public:
  PipeSignalGuard() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &old_);
  }
  PipeSignalGuard(const PipeSignalGuard&) = delete;
  PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;
  ~PipeSignalGuard() {
    // It is sent to the thread that wrote, so what is pending here is ours.
    constexpr timespec kNow{};
    if (sigismember(&old_, SIGPIPE) == 0)
      while (::sigtimedwait(&pipe_, nullptr, &kNow) == SIGPIPE) {
      }
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t old_{};
};

// The same terminal as an open file of our own, which can be written to without blocking and without changing the caller's.
UniqueFd unblocking(int fd) {
  if (::isatty(fd) == 0) return {};
  return UniqueFd(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

class Supervisor {
 public:
  Supervisor(launch::Sandbox& sandbox, const Options& options) : sandbox_(sandbox), options_(options) {
    if (options_.timeout.count() > 0) deadline_ns_ = sandbox_.started_ns + to_ns(options_.timeout);
  }

  spec::Outcome run() {
    const PipeSignalGuard pipe_signal;
    std::optional<RawTerminal> raw;
    for (int fd = 1; fd <= 2; ++fd)
      if (sandbox_.terminal.valid() || sandbox_.stream[fd].valid()) outputs_[fd] = unblocking(fd);
    const auto output = [&](int fd) { return outputs_[fd].valid() ? outputs_[fd].get() : fd; };
    if (sandbox_.terminal.valid()) {
      raw.emplace(0);
      copy_window_size(0, sandbox_.terminal.get());
      relays_[0] = Relay(0, sandbox_.terminal.get());
      relays_[1] = Relay(sandbox_.terminal.get(), output(1));
    } else {
      if (sandbox_.stream[0].valid()) relays_[0] = Relay(0, sandbox_.stream[0].get());
      if (sandbox_.stream[1].valid()) relays_[1] = Relay(sandbox_.stream[1].get(), output(1));
      if (sandbox_.stream[2].valid()) relays_[2] = Relay(sandbox_.stream[2].get(), output(2));
    }
    if (sandbox_.init_lingers) sandbox_.group.watch_events();
    while (!turn(true)) {
    }
    reap();
    relays_[0].stop();
    // All writers are dead: what is left in the pipes is finite.
    while ((relays_[1].active() || relays_[2].active()) && !turn(false)) {
    }
    return std::move(outcome_);
  }

 private:
  static std::uint64_t to_ns(std::chrono::milliseconds time) { return static_cast<std::uint64_t>(time.count()) * 1'000'000U; }

  // One wait and what it brought. True when the sandbox has ended (or, while draining, when nothing more comes).
  bool turn(bool running) {
    pollfd polled[7];
    polled[0] = {running ? sandbox_.pidfd.get() : -1, POLLIN, 0};
    polled[1] = {running && options_.signals != nullptr ? options_.signals->fd() : -1, POLLIN, 0};
    for (std::size_t i = 0; i < 3; ++i) polled[2 + i] = relays_[i].wanted();
    const bool watches = running && sandbox_.init_lingers;
    polled[5] = {watches && !ended_ ? sandbox_.control.get() : -1, POLLIN, 0};
    polled[6] = {watches ? sandbox_.group.events_fd() : -1, POLLPRI, 0};
    timespec left{};
    const int ready = ::ppoll(polled, 7, time_left(running, &left), nullptr);
    if (ready < 0) return errno != EINTR;
    if (ready == 0) {
      if (!running) return true;
      expire();
      return false;
    }
    if ((polled[1].revents & POLLIN) != 0) forward();
    if (polled[6].revents != 0) take_events();
    if (polled[5].revents != 0) take_end();
    for (std::size_t i = 0; i < 3; ++i)
      if (relays_[i].advance(polled[2 + i].revents) && i == 0) end_input();
    return polled[0].revents != 0;
  }

  // Init lingers: whoever owns the cgroup takes it away with its last process, so this is the time to read.
  void take_end() {
    ended_.emplace();
    if (::recv(sandbox_.control.get(), &*ended_, sizeof *ended_, MSG_DONTWAIT) != sizeof *ended_) ended_.reset();
    take_snapshot();
    (void)!::send(sandbox_.control.get(), "e", 1, MSG_NOSIGNAL);
    if (!ended_) sandbox_.init_lingers = false;
  }

  // Want of memory may take init along.
  void take_events() {
    sandbox_.group.acknowledge_events();
    take_snapshot();
  }

  void take_snapshot() {
    auto usage = cgroup::read_usage(sandbox_.group.location());
    // Without this one it was read too late.
    if (usage && usage->cpu_us) snapshot_ = std::move(*usage);
  }

  // A pipe is closed; to a terminal its end-of-file character is typed, as a person would: termios(3) ICANON.
  void end_input() {
    if (!sandbox_.terminal.valid()) return sandbox_.stream[0].reset();
    termios mode{};
    if (::tcgetattr(sandbox_.terminal.get(), &mode) == 0 && (mode.c_lflag & ICANON) != 0)
      (void)!::write(sandbox_.terminal.get(), &mode.c_cc[VEOF], 1);
  }

  // nullptr: for as long as it takes.
  timespec* time_left(bool running, timespec* left) const {
    // For a reader that has stopped reading, after a timeout; else it is waited for, as any program waits for its terminal.
    constexpr std::uint64_t kDrainNs = 1'000'000'000;
    if (!running && !timed_out_ && (relays_[1].pending() || relays_[2].pending())) return nullptr;
    std::uint64_t ns = kDrainNs;
    if (running) {
      if (deadline_ns_ == 0) return nullptr;
      const std::uint64_t now = sys::monotonic_ns();
      ns = deadline_ns_ > now ? deadline_ns_ - now : 0;
    }
    left->tv_sec = static_cast<time_t>(ns / 1'000'000'000U);
    left->tv_nsec = static_cast<long>(ns % 1'000'000'000U);
    return left;
  }

  // TERM first, KILL of the whole pid namespace after the grace time.
  void expire() {
    const bool first = !timed_out_;
    timed_out_ = true;
    if (first && options_.grace.count() > 0) {
      deadline_ns_ = sys::monotonic_ns() + to_ns(options_.grace);
      send(SIGTERM);
      return;
    }
    deadline_ns_ = 0;
    kill_all("the command did not end within the grace time");
  }

  void send(int signal) { sys::send_signal(sandbox_.pidfd.get(), sandbox_.pid, signal); }

  // Pid 1 cannot refuse this, and the kernel ends the whole namespace with it: pid_namespaces(7)
  void kill_all(const char* reason) {
    outcome_.reason = reason;
    if (sandbox_.init_lingers) take_snapshot();
    send(SIGKILL);
    // One that is paused would die only after it went on.
    if (!sandbox_.group.empty()) cgroup::kill_soon(sandbox_.group.location());
  }

  void forward() {
    signalfd_siginfo info;
    if (::read(options_.signals->fd(), &info, sizeof info) != sizeof info) return;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH && sandbox_.terminal.valid()) return copy_window_size(0, sandbox_.terminal.get());
    if (signal == SIGINT && ++interrupts_ == 2) return kill_all("killed by a second interrupt");
    send(signal);
  }

  void reap() {
    int status = 0;
    rusage usage{};
    while (::wait4(sandbox_.pid, &status, __WALL, &usage) < 0 && errno == EINTR) {
    }
    outcome_.wall_us = (sys::monotonic_ns() - sandbox_.started_ns) / 1000;
    outcome_.cpu_user_us = microseconds(usage.ru_utime);
    outcome_.cpu_system_us = microseconds(usage.ru_stime);
    outcome_.memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024U;
    outcome_.stages_us = std::move(sandbox_.stages_us);
    if (sandbox_.init) {
      init::Status message;
      if (ended_)
        status = ended_->wait_status;
      else if (::recv(sandbox_.control.get(), &message, sizeof message, MSG_DONTWAIT) == sizeof message)
        status = message.wait_status;
      else if (outcome_.reason.empty())
        outcome_.reason = "the sandbox was killed from outside";
    }
    sandbox_.pid = -1;
    settle(status);
    read_usage();
  }

  // All of its processes are gone, and its cgroup is still there. What ended the command is asked of the kernel's own events: a
  // signal alone may have come from anybody.
  void read_usage() {
    if (sandbox_.group.empty()) return;
    const cgroup::Location& location = sandbox_.group.location();
    const bool succeeded = outcome_.status == spec::Status::kExited && outcome_.exit_code == 0;
    if (options_.read_usage || snapshot_) {
      // Whoever owns the cgroup may be taking it away by now, file by file.
      if (snapshot_)
        take_usage(std::move(*snapshot_));
      else if (auto usage = cgroup::read_usage(location))
        take_usage(std::move(*usage));
    } else if (!succeeded) {
      outcome_.oom_killed = cgroup::oom_kills(location) > 0;
    }
    if (outcome_.oom_killed && !succeeded && !timed_out_) outcome_.status = spec::Status::kOom;
  }

  void take_usage(cgroup::Usage usage) {
    outcome_.oom_killed = usage.oom_kills.value_or(0) > 0;
    if (usage.memory_peak_bytes) outcome_.memory_peak_bytes = *usage.memory_peak_bytes;
    if (usage.cpu_user_us && usage.cpu_system_us) {
      outcome_.cpu_user_us = *usage.cpu_user_us;
      outcome_.cpu_system_us = *usage.cpu_system_us;
    }
    outcome_.usage = std::move(usage);
  }

  void settle(int status) {
    outcome_.status = WIFSIGNALED(status) ? spec::Status::kSignaled : spec::Status::kExited;
    outcome_.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    outcome_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (timed_out_) outcome_.status = spec::Status::kTimeout;
  }

  launch::Sandbox& sandbox_;
  const Options& options_;
  spec::Outcome outcome_;
  UniqueFd outputs_[3];
  Relay relays_[3];
  std::uint64_t deadline_ns_ = 0;  // 0: none
  bool timed_out_ = false;
  int interrupts_ = 0;
  std::optional<init::Status> ended_;      // what a lingering init has said
  std::optional<cgroup::Usage> snapshot_;  // of a cgroup that may be gone before it can be read
};

}  // namespace

Result<ForwardedSignals> ForwardedSignals::open() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kForwarded) {
    // As nohup(1) has it. INT and QUIT are another matter: a shell that starts us in the background has them ignored, and
    // whoever then sends one means the command.
    struct sigaction action {};
    if (signal == SIGHUP && ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    sigaddset(&set, signal);
  }
  ForwardedSignals signals;
  ::pthread_sigmask(SIG_BLOCK, &set, &signals.old_);
  signals.fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.fd_.valid()) return fail_errno("watching for signals");
  return signals;
}

ForwardedSignals::~ForwardedSignals() {
  if (fd_.valid()) ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
}

spec::Outcome supervise(launch::Sandbox& sandbox, const Options& options) {
  return Supervisor(sandbox, options).run();
}

}  // namespace clawrun::supervise
