#include "supervise/supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace clawrun::supervise {

namespace {

using std::chrono::nanoseconds;

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

std::uint64_t microseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000U + static_cast<std::uint64_t>(time.tv_usec);
}

constexpr Watched kStreamWatch[] = {Watched::kInput, Watched::kOutput, Watched::kError};

constexpr const char* kOutlived = "the command did not end within the grace time";

}  // namespace

Result<> Supervision::begin(launch::Sandbox sandbox) {
  sandbox_ = std::move(sandbox);
  watches_ = TRY(Watches::open());
  // From the clone on, whatever has passed since.
  if (options_.timeout.count() > 0) timer_ = TRY(sys::timer_after(std::max(time_to_deadline(), nanoseconds(1))));
  if (sandbox_.terminal.valid())
    open_terminal();
  else
    for (int stream = 0; stream < 3; ++stream) open_stream(stream);
  if (sandbox_.init_lingers) sandbox_.group.watch_events();
  if (options_.uplink) TRY(options_.uplink->begin(std::move(sandbox_.network_sockets)));
  TRY(watch());
  watch_streams();
  return {};
}

void Supervision::open_terminal() {
  const int master = sandbox_.terminal.get();
  outputs_[1] = unblocking(1);
  raw_ = std::make_unique<RawTerminal>(0);
  copy_window_size(0, master);
  terminal_input_.reset(::fcntl(master, F_DUPFD_CLOEXEC, 3));
  relays_[0] = Relay(0, terminal_input_.get());
  relays_[1] = Relay(master, outputs_[1].valid() ? outputs_[1].get() : 1, options_.streams[1].limit_bytes);
}

void Supervision::open_stream(int stream) {
  const int ours = sandbox_.stream[stream].get();
  StreamUse& use = options_.streams[stream];
  if (ours < 0 || use.kind == StreamUse::Kind::kForeign) return;
  if (use.kind == StreamUse::Kind::kCapture) {
    captures_[stream] = Capture(ours, use.limit_bytes);
    return;
  }
  if (stream == 0) {
    relays_[0] = Relay(0, ours);
    return;
  }
  outputs_[stream] = use.kind == StreamUse::Kind::kCopy ? std::move(use.target) : unblocking(stream);
  relays_[stream] = Relay(ours, outputs_[stream].valid() ? outputs_[stream].get() : stream, use.limit_bytes);
}

Result<> Supervision::watch() {
  TRY(watches_.want(Watched::kEnd, sandbox_.pidfd.get(), EPOLLIN));
  TRY(watches_.want(Watched::kTimer, timer_.get(), EPOLLIN));
  TRY(watches_.want(Watched::kSignals, options_.signals != nullptr ? options_.signals->fd() : -1, EPOLLIN));
  if (options_.uplink) TRY(watches_.want(Watched::kNetwork, options_.uplink->fd(), EPOLLIN));
  if (!sandbox_.init_lingers) return {};
  TRY(watches_.want(Watched::kControl, sandbox_.control.get(), EPOLLIN));
  return watches_.want(Watched::kEvents, sandbox_.group.events_fd(), EPOLLPRI);
}

void Supervision::watch_streams() {
  for (int stream = 0; stream < 3; ++stream) {
    if (relays_[stream].active())
      watch_relay(stream);
    else
      (void)watches_.want(kStreamWatch[stream], captures_[stream].fd(), EPOLLIN);
  }
}

void Supervision::watch_relay(int stream) {
  Relay& relay = relays_[stream];
  while (relay.active()) {
    const pollfd wanted = relay.wanted();
    if (watches_.want(kStreamWatch[stream], wanted.fd, static_cast<std::uint32_t>(wanted.events))) return;
    // A file, or /dev/null: nobody ever waits for room in it. Of what cannot be watched nothing is read.
    if (relay.pending())
      (void)relay.advance(POLLOUT);
    else
      relay.stop();
  }
  (void)watches_.want(kStreamWatch[stream], -1, 0);
}

bool Supervision::has_copies() const {
  return std::ranges::any_of(relays_, &Relay::active);
}

void Supervision::note_lost_bytes() {
  const auto lost = [&](int stream) -> std::optional<std::uint64_t> {
    if (options_.streams[stream].limit_bytes == UINT64_MAX) return std::nullopt;
    return lost_bytes(stream);
  };
  outcome_.stdout_lost_bytes = lost(1);
  outcome_.stderr_lost_bytes = lost(2);
}

void Supervision::close_copies() {
  for (UniqueFd& output : outputs_) output.reset();
}

bool Supervision::step() {
  if (phase_ == Phase::kEnded) return true;
  std::optional<PipeSignalGuard> pipe_signal;
  if (has_copies()) pipe_signal.emplace();
  bool has_ended = false;
  bool has_expired = false;
  watches_.take([&](Watched which, std::uint32_t events) {
    switch (which) {
      case Watched::kEnd:
        has_ended = true;
        return;
      case Watched::kTimer:
        has_expired = true;
        return;
      case Watched::kSignals:
        return forward();
      case Watched::kControl:
        return take_end();
      case Watched::kEvents:
        return take_events();
      case Watched::kNetwork:
        return options_.uplink->step();
      default:
        for (int stream = 0; stream < 3; ++stream)
          if (kStreamWatch[stream] == which) advance_stream(stream, static_cast<short>(events));
    }
  });
  if (phase_ == Phase::kDraining) {
    if (has_expired) phase_ = Phase::kEnded;
    end_draining_if_done();
  } else if (has_ended) {
    // What has ended was in time, even where nobody looked before the deadline had passed.
    reap();
    begin_draining();
  } else if (has_expired) {
    expire();
  }
  if (phase_ != Phase::kEnded) watch_streams();
  return phase_ == Phase::kEnded;
}

void Supervision::advance_stream(int stream, short revents) {
  if (captures_[stream].fd() >= 0)
    (void)captures_[stream].advance();
  else if (relays_[stream].advance(revents) && stream == 0)
    end_input();
}

// Init lingers: whoever owns the cgroup takes it away with its last process, so this is the time to read.
void Supervision::take_end() {
  ended_.emplace();
  if (::recv(sandbox_.control.get(), &*ended_, sizeof *ended_, MSG_DONTWAIT) != sizeof *ended_) ended_.reset();
  take_snapshot();
  (void)!::send(sandbox_.control.get(), "e", 1, MSG_NOSIGNAL);
  if (!ended_) sandbox_.init_lingers = false;
  (void)watches_.want(Watched::kControl, -1, 0);
}

// Want of memory may take init along.
void Supervision::take_events() {
  sandbox_.group.acknowledge_events();
  take_snapshot();
}

void Supervision::take_snapshot() {
  auto usage = cgroup::read_usage(sandbox_.group.location());
  // Without this one it was read too late.
  if (usage && usage->cpu_us) snapshot_ = std::move(*usage);
}

// A pipe is closed; to a terminal its end-of-file character is typed, as a person would: termios(3) ICANON.
void Supervision::end_input() {
  if (!sandbox_.terminal.valid()) {
    (void)watches_.want(Watched::kInput, -1, 0);
    return sandbox_.stream[0].reset();
  }
  termios mode{};
  if (::tcgetattr(sandbox_.terminal.get(), &mode) == 0 && (mode.c_lflag & ICANON) != 0)
    (void)!::write(sandbox_.terminal.get(), &mode.c_cc[VEOF], 1);
}

nanoseconds Supervision::time_to_deadline() const {
  return options_.timeout - nanoseconds(sys::monotonic_ns() - sandbox_.started_ns);
}

// TERM first, KILL of the whole pid namespace after the grace time.
void Supervision::expire() {
  sys::set_timer(timer_.get(), options_.grace);
  const bool first = !timed_out_;
  timed_out_ = true;
  if (first && options_.grace.count() > 0) return send(SIGTERM);
  sys::set_timer(timer_.get(), nanoseconds(0));
  kill_all(kOutlived);
}

void Supervision::send(int signal) {
  if (sandbox_.pid <= 0) return;
  if (signal == SIGKILL && sandbox_.init_lingers) take_snapshot();
  sys::send_signal(sandbox_.pidfd.get(), sandbox_.pid, signal);
  // One that is paused would die only after it went on.
  if (signal == SIGKILL && !sandbox_.group.empty()) cgroup::kill_soon(sandbox_.group.location());
}

// Pid 1 cannot refuse this, and the kernel ends the whole namespace with it: pid_namespaces(7)
void Supervision::kill_all(const char* reason) {
  outcome_.reason = reason;
  send(SIGKILL);
}

void Supervision::forward() {
  signalfd_siginfo info;
  if (::read(options_.signals->fd(), &info, sizeof info) != sizeof info) return;
  const int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGWINCH && sandbox_.terminal.valid()) return copy_window_size(0, sandbox_.terminal.get());
  if (signal == SIGINT && ++interrupts_ == 2) return kill_all("killed by a second interrupt");
  send(signal);
}

void Supervision::reap() {
  const auto reaped = sys::reap(sandbox_.pidfd.get(), sandbox_.pid);
  outcome_.wall_us = (sys::monotonic_ns() - sandbox_.started_ns) / 1000;
  if (reaped) {
    outcome_.cpu_user_us = microseconds(reaped->usage.ru_utime);
    outcome_.cpu_system_us = microseconds(reaped->usage.ru_stime);
    outcome_.memory_peak_bytes = static_cast<std::uint64_t>(reaped->usage.ru_maxrss) * 1024U;
  }
  outcome_.stages_us = std::move(sandbox_.stages_us);
  settle(wait_status(reaped));
  sandbox_.pid = -1;
  read_usage();
}

// Of the command, from init; of pid 1, where that could say nothing any more.
int Supervision::wait_status(const Result<sys::Ended>& reaped) {
  init::Status message;
  if (sandbox_.init && ended_) return ended_->wait_status;
  if (sandbox_.init && ::recv(sandbox_.control.get(), &message, sizeof message, MSG_DONTWAIT) == sizeof message)
    return message.wait_status;
  if (!reaped && !sandbox_.init) outcome_.reason = "another wait(2) of this process has taken its exit status";
  const int status = reaped ? reaped->wait_status : SIGKILL;
  if (!sandbox_.init) return status;
  // Init ends by itself only at its own deadline, which comes later than ours.
  const bool left = reaped ? WIFEXITED(status) : time_to_deadline().count() <= 0;
  if (options_.timeout.count() > 0 && left) timed_out_ = true;
  if (outcome_.reason.empty()) outcome_.reason = timed_out_ ? kOutlived : "the sandbox was killed from outside";
  return timed_out_ && WIFEXITED(status) ? SIGKILL : status;
}

void Supervision::settle(int status) {
  outcome_.status = WIFSIGNALED(status) ? spec::Status::kSignaled : spec::Status::kExited;
  outcome_.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  outcome_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (timed_out_) outcome_.status = spec::Status::kTimeout;
}

// All of its processes are gone, and its cgroup is still there. What ended the command is asked of the kernel's own events: a
// signal alone may have come from anybody.
void Supervision::read_usage() {
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

void Supervision::take_usage(cgroup::Usage usage) {
  outcome_.oom_killed = usage.oom_kills.value_or(0) > 0;
  if (usage.memory_peak_bytes) outcome_.memory_peak_bytes = *usage.memory_peak_bytes;
  if (usage.cpu_user_us && usage.cpu_system_us) {
    outcome_.cpu_user_us = *usage.cpu_user_us;
    outcome_.cpu_system_us = *usage.cpu_system_us;
  }
  outcome_.usage = std::move(usage);
}

// All writers are dead: what is left in the pipes is finite.
void Supervision::begin_draining() {
  phase_ = Phase::kDraining;
  relays_[0].stop();
  if (options_.uplink) options_.uplink->end();
  end_draining_if_done();
  if (phase_ == Phase::kEnded) return;
  for (const Watched which : {Watched::kEnd, Watched::kTimer, Watched::kSignals, Watched::kControl, Watched::kEvents})
    (void)watches_.want(which, -1, 0);
  restart_drain_timer();
}

void Supervision::end_draining_if_done() {
  // A fork of the host may hold a writing end for a moment; nothing more is written to it.
  for (Capture& capture : captures_)
    if (capture.fd() >= 0 && capture.advance()) capture.stop();
  const bool is_capturing = std::ranges::any_of(captures_, [](const Capture& capture) { return capture.fd() >= 0; });
  if (!has_copies() && !is_capturing && !has_network()) phase_ = Phase::kEnded;
  if (phase_ == Phase::kEnded) return finish();
  restart_drain_timer();
}

void Supervision::finish() {
  raw_.reset();
  note_lost_bytes();
  if (!options_.uplink) return;
  (void)watches_.want(Watched::kNetwork, -1, 0);
  options_.uplink->kill();
  outcome_.network = options_.uplink->take_use();
}

void Supervision::restart_drain_timer() {
  if (!has_copies() && !has_network()) return;
  // For a reader that has stopped reading, after a timeout; else it is waited for, as any program waits for its terminal.
  constexpr nanoseconds kDrainTime = std::chrono::seconds(1);
  const bool waits_for_reader = !timed_out_ && (relays_[1].pending() || relays_[2].pending());
  if (!timer_.valid()) {
    auto timer = sys::timer_after(kDrainTime);
    if (timer) timer_ = std::move(*timer);
  }
  if (!timer_.valid()) return;
  sys::set_timer(timer_.get(), waits_for_reader ? nanoseconds(0) : kDrainTime);
  (void)watches_.want(Watched::kTimer, timer_.get(), EPOLLIN);
}

}  // namespace clawrun::supervise
