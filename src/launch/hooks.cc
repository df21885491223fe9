#include "launch/hooks.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::launch {

namespace {

using Clock = std::chrono::steady_clock;

// Of each stream: a trace of what went wrong, not a log.
constexpr std::size_t kMaxOutput = 4096;
// After the hook has ended, what it left running may write on and on.
constexpr int kMaxLastReads = 64;
constexpr std::chrono::seconds kDyingTime{10};
// Without a pidfd (Linux before 5.3) the end of a hook is looked for so often.
constexpr int kLookingTime_ms = 10;

enum class Step : int { kDescriptors, kJoin, kIdentity, kDirectory, kFork, kExecute };

struct Report {
  Step step;
  int error;
};

// All that the new process needs, made before it is: after the fork of a program with threads nothing may be allocated.
struct Child {
  const char* path = nullptr;
  const char* directory = nullptr;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::array<int, 3> stdio{-1, -1, -1};
  int report = -1;
  std::vector<int> kept;  // in order: the report and the namespaces
  std::span<const Joined> namespaces;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

// From here on in the child: async-signal-safe calls alone (signal-safety(7)), and raw ones where glibc would reach for the
// threads that a copy of a process does not have (setuid(2), "C library/kernel differences").

[[noreturn]] void give_up(const Child& child, Step step) {
  const Report report{step, errno};
  (void)!::write(child.report, &report, sizeof report);
  ::_exit(127);
}

void default_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_between(unsigned first, unsigned last) {
  if (first > last || ::syscall(SYS_close_range, first, last, 0) == 0) return;
  const unsigned end = std::min(last, 1U << 20U);  // Linux before 5.9; fs.nr_open
  for (unsigned fd = first; fd <= end; ++fd) ::close(static_cast<int>(fd));
}

void place_descriptors(const Child& child) {
  std::array<int, 3> from = child.stdio;
  for (int& fd : from)
    if (fd <= 2) fd = ::fcntl(fd, F_DUPFD, 3);
  for (int to = 0; to < 3; ++to)
    if (::dup2(from[static_cast<std::size_t>(to)], to) < 0) give_up(child, Step::kDescriptors);
  unsigned next = 3;
  for (const int fd : child.kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > next) close_between(next, number - 1);
    next = std::max(next, number + 1);
  }
  close_between(next, ~0U);
}

// Ends as the hook does, which is the first of its pid namespace that the caller can see.
[[noreturn]] void stand_in_for(pid_t hook) {
  close_between(0, ~0U);
  int status = 0;
  while (::waitpid(hook, &status, 0) < 0)
    if (errno != EINTR) ::_exit(127);
  if (!WIFSIGNALED(status)) ::_exit(WEXITSTATUS(status));
  ::prctl(PR_SET_DUMPABLE, 0);  // no core of this one
  ::kill(::getpid(), WTERMSIG(status));
  ::_exit(128 + WTERMSIG(status));
}

void join(const Child& child) {
  if (child.namespaces.empty()) return;
  // Those who are in there already must not trace it, nor open what it holds (CVE-2016-9962).
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) give_up(child, Step::kJoin);
  bool other_pids = false;
  for (const Joined& joined : child.namespaces) {
    if (::setns(joined.fd, joined.flags) != 0) give_up(child, Step::kJoin);
    other_pids = other_pids || (joined.flags & CLONE_NEWPID) != 0;
  }
  for (const Joined& joined : child.namespaces) ::close(joined.fd);
  if (!other_pids) return;
  const pid_t hook = ::_Fork();
  if (hook < 0) give_up(child, Step::kFork);
  if (hook > 0) stand_in_for(hook);
}

void take_identity(const Child& child) {
  if (!child.uid && !child.gid) return;
  // Refused where a user namespace forbids it, and there are no groups to lose then: user_namespaces(7).
  ::syscall(SYS_setgroups, 0, nullptr);
  if (child.gid && ::syscall(SYS_setresgid, *child.gid, *child.gid, *child.gid) != 0) give_up(child, Step::kIdentity);
  if (child.uid && ::syscall(SYS_setresuid, *child.uid, *child.uid, *child.uid) != 0) give_up(child, Step::kIdentity);
}

[[noreturn]] void become_hook(const Child& child) {
  default_signals();
  ::setsid();
  place_descriptors(child);
  join(child);
  take_identity(child);
  if (::chdir(child.directory) != 0) give_up(child, Step::kDirectory);
  ::execve(child.path, child.arguments.data(), child.environment.data());
  give_up(child, Step::kExecute);
}

// Up to here.

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Engines look for these texts, and in lower case.
std::string error_text(int error) {
  const char* text = ::strerrordesc_np(error);
  return lower(text == nullptr ? "unknown error" : text);
}

std::string report_text(const Report& report, const oci::Hook& hook, const std::string& directory) {
  const std::string why = ": " + error_text(report.error);
  switch (report.step) {
    case Step::kDescriptors:
      return "placing its standard streams" + why;
    case Step::kJoin:
      return "joining the namespaces of the container" + why;
    case Step::kIdentity:
      return "taking on the ids of the container" + why;
    case Step::kDirectory:
      return "chdir " + shown(directory) + why;
    case Step::kFork:
      return "fork" + why;
    case Step::kExecute:
      break;
  }
  return "fork/exec " + shown(hook.path) + why;
}

// One line, whatever a program has printed.
std::string plain(std::string_view output) {
  while (!output.empty() && std::isspace(static_cast<unsigned char>(output.back()))) output.remove_suffix(1);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : output) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else if (c == '\n') {
      text += "\\n";
    } else {
      text += "\\x";
      text += kHex[byte >> 4U];
      text += kHex[byte & 15U];
    }
  }
  return text;
}

// What a hook prints, and the end of it kept.
class Output {
 public:
  // The end for the hook: of a pipe to here, or what the caller wants.
  Result<int> open(int wanted) {
    if (wanted >= 0) return wanted;
    sys::Ends ends = TRY(sys::pipe());
    if (::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("making a pipe");
    in_ = std::move(ends.first);
    out_ = std::move(ends.second);
    return out_.get();
  }
  void close_other_end() { out_.reset(); }
  [[nodiscard]] int fd() const { return in_.get(); }

  // False: there is nothing more now, or never.
  bool read() {
    char buffer[16384];
    const ssize_t size = in_.valid() ? ::read(in_.get(), buffer, sizeof buffer) : 0;
    if (size < 0 && errno == EINTR) return true;
    if (size < 0 && errno == EAGAIN) return false;
    if (size <= 0) {
      in_.reset();
      return false;
    }
    text_.append(buffer, static_cast<std::size_t>(size));
    if (text_.size() > kMaxOutput) {
      text_.erase(0, text_.size() - kMaxOutput);
      cut_ = true;
    }
    return true;
  }
  void read_last() {
    for (int i = 0; i < kMaxLastReads && read();) ++i;
  }

  [[nodiscard]] std::string text() const { return (cut_ ? "... " : "") + plain(text_); }

 private:
  UniqueFd in_;
  UniqueFd out_;
  std::string text_;
  bool cut_ = false;
};

// The whole text is there before the hook is: one that reads slowly, or not at all, or closes it, holds up and kills nobody.
Result<UniqueFd> standard_input(const std::string& text) {
  sys::Ends ends = TRY(sys::pipe());
  if (text.size() > PIPE_BUF && text.size() <= INT_MAX)
    (void)::fcntl(ends.second.get(), F_SETPIPE_SZ, static_cast<int>(text.size()));
  const bool fits = ::fcntl(ends.second.get(), F_SETFL, O_NONBLOCK) == 0 &&
                    ::write(ends.second.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fits) return std::move(ends.first);
  // fs.pipe-max-size, or fs.pipe-user-pages-soft: a file then.
  UniqueFd file(::memfd_create("state", MFD_CLOEXEC));
  if (file.valid() && file.get() <= 2) file.reset(::fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
  if (!file.valid()) return fail_errno("making a file for the state");
  TRY(sys::write_all(file.get(), text));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("making a file for the state");
  return file;
}

// An ignored SIGCHLD, inherited from who started the runtime, would take the exit status away: wait(2), NOTES.
class ChildrenWaitedFor {
 public:
  ChildrenWaitedFor() {
    struct sigaction action {};
    if (::sigaction(SIGCHLD, nullptr, &before_) != 0 || before_.sa_handler != SIG_IGN) return;
    action.sa_handler = SIG_DFL;
    changed_ = ::sigaction(SIGCHLD, &action, nullptr) == 0;
  }
  ~ChildrenWaitedFor() {
    if (changed_) ::sigaction(SIGCHLD, &before_, nullptr);
  }
  ChildrenWaitedFor(const ChildrenWaitedFor&) = delete;
  ChildrenWaitedFor& operator=(const ChildrenWaitedFor&) = delete;

 private:
  struct sigaction before_ {};
  bool changed_ = false;
};

class RunningHook {
 public:
  Result<> start(const oci::Hook& hook, const std::string& state_json, const HookOptions& options);
  // What is wrong with how it ended, or nothing.
  Result<> finish(const oci::Hook& hook, const HookOptions& options);

 private:
  enum class End : std::uint8_t { kEnded, kTooLate };
  End wait(std::optional<Clock::time_point> until);
  [[nodiscard]] bool has_ended() const;
  void read_report();

  ChildrenWaitedFor waited_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd report_;
  std::optional<Report> failure_;
  Output stdout_;
  Output stderr_;
};

Result<> RunningHook::start(const oci::Hook& hook, const std::string& state_json, const HookOptions& options) {
  const UniqueFd input = TRY(standard_input(state_json));
  sys::Ends report = TRY(sys::pipe());
  Child child;
  child.path = hook.path.c_str();
  child.directory = options.directory.empty() ? "/" : options.directory.c_str();
  child.arguments = pointers(hook.args);
  if (hook.args.empty()) child.arguments.insert(child.arguments.begin(), const_cast<char*>(child.path));
  child.environment = pointers(hook.env);
  const int out = TRY(stdout_.open(options.stdout_fd));
  const int err = TRY(stderr_.open(options.stderr_fd));
  child.stdio = {input.get(), out, err};
  child.report = report.second.get();
  child.kept = {child.report};
  for (const Joined& joined : options.namespaces) {
    if (joined.fd <= 2) return fail(ErrorKind::kInternal, "a namespace to join is on a standard stream");
    child.kept.push_back(joined.fd);
  }
  std::ranges::sort(child.kept);
  child.namespaces = options.namespaces;
  child.uid = options.uid;
  child.gid = options.gid;

  // No handler of the caller's may run in the child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_ = ::_Fork();
  if (pid_ == 0) become_hook(child);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) return fail_errno("fork", error);
  // It is a child that nobody has waited for: the number is its own.
  if (auto pidfd = sys::pidfd_open(pid_)) pidfd_ = std::move(*pidfd);
  report_ = std::move(report.first);
  stdout_.close_other_end();
  stderr_.close_other_end();
  return {};
}

void RunningHook::read_report() {
  Report report{};
  const ssize_t size = ::read(report_.get(), &report, sizeof report);
  if (size < 0 && errno == EINTR) return;
  if (size == static_cast<ssize_t>(sizeof report)) failure_ = report;
  report_.reset();  // closed on execution, or by the end of the child
}

bool RunningHook::has_ended() const {
  siginfo_t info{};
  const auto id = static_cast<id_t>(pid_);
  return ::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ? errno != EINTR : info.si_pid != 0;
}

RunningHook::End RunningHook::wait(std::optional<Clock::time_point> until) {
  for (;;) {
    if (has_ended()) return End::kEnded;
    long left_ms = -1;
    if (until) left_ms = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()).count();
    if (until && left_ms <= 0) return End::kTooLate;
    if (!pidfd_.valid()) left_ms = left_ms < 0 ? kLookingTime_ms : std::min<long>(left_ms, kLookingTime_ms);
    pollfd watched[] = {
        {pidfd_.get(), POLLIN, 0}, {report_.get(), POLLIN, 0}, {stdout_.fd(), POLLIN, 0}, {stderr_.fd(), POLLIN, 0}};
    // poll(2) leaves out descriptors that are negative.
    if (::poll(watched, std::size(watched), static_cast<int>(std::min<long>(left_ms, INT_MAX))) < 0) continue;
    if (watched[1].revents != 0) read_report();
    if (watched[2].revents != 0) (void)stdout_.read();
    if (watched[3].revents != 0) (void)stderr_.read();
  }
}

std::string signal_text(const siginfo_t& info) {
  const char* text = ::sigdescr_np(info.si_status);
  return "signal: " + lower(text == nullptr ? std::to_string(info.si_status) : text) +
         (info.si_code == CLD_DUMPED ? " (core dumped)" : "");
}

Result<> RunningHook::finish(const oci::Hook& hook, const HookOptions& options) {
  std::optional<Clock::time_point> until;
  if (hook.timeout_s) until = Clock::now() + std::chrono::seconds(*hook.timeout_s);
  const End end = wait(until);
  if (end == End::kTooLate) {
    // Of its own session, whose number is not given away before it has been waited for.
    ::kill(-pid_, SIGKILL);
    sys::send_signal(pidfd_.get(), pid_, SIGKILL);
    if (wait(Clock::now() + kDyingTime) == End::kTooLate)
      return fail(ErrorKind::kSystem, "hook ran past specified timeout of " + std::to_string(*hook.timeout_s) +
                                          ".0s, and does not end though it was killed");
  }
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0)
    if (errno != EINTR) return fail_errno("waiting for the hook " + shown(hook.path));
  if (end == End::kTooLate)
    return fail(ErrorKind::kSystem, "hook ran past specified timeout of " + std::to_string(*hook.timeout_s) + ".0s");
  if (report_.valid()) read_report();
  if (failure_) {
    Error error{ErrorKind::kSystem, failure_->error, report_text(*failure_, hook, options.directory)};
    return Failure(std::move(error));
  }
  if (info.si_code == CLD_EXITED && info.si_status == 0) return {};
  stdout_.read_last();
  stderr_.read_last();
  const std::string how = info.si_code == CLD_EXITED ? "exit status " + std::to_string(info.si_status) : signal_text(info);
  return fail(ErrorKind::kSystem, how + ", stdout: " + stdout_.text() + ", stderr: " + stderr_.text());
}

Result<> run_hook(const oci::Hook& hook, const std::string& state_json, const HookOptions& options) {
  RunningHook running;
  TRY(running.start(hook, state_json, options));
  return running.finish(hook, options);
}

std::string name_of(std::string_view kind, std::size_t index) {
  return "error running " + std::string(kind) + " hook #" + std::to_string(index);
}

}  // namespace

Result<> run_hooks(std::span<const oci::Hook> hooks, std::string_view kind, const std::string& state_json,
                   const HookOptions& options) {
  for (std::size_t i = 0; i < hooks.size(); ++i)
    if (auto ran = run_hook(hooks[i], state_json, options); !ran) return while_doing(name_of(kind, i), ran.error());
  return {};
}

std::vector<Error> run_all_hooks(std::span<const oci::Hook> hooks, std::string_view kind, const std::string& state_json,
                                 const HookOptions& options) {
  std::vector<Error> errors;
  for (std::size_t i = 0; i < hooks.size(); ++i)
    if (auto ran = run_hook(hooks[i], state_json, options); !ran)
      errors.push_back(while_doing(name_of(kind, i), ran.error()).error());
  return errors;
}

}  // namespace clawrun::launch
