#include "cgroup/systemd_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/text.h"
#include "cgroup/systemd_protocol.h"
#include "sys/sys.h"

namespace clawrun::cgroup {

namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kRemedy = "; --cgroup-driver cgroupfs does without systemd";

// A child that ends with this object, however that happens.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
    // A process that ignores SIGCHLD may have lost the child already, and its number may be another's by now.
    if (!pidfd_.valid() && errno == ESRCH) pid_ = -1;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  // The status of one that has ended by itself is what it ended with: SIGKILL comes too late for it.
  int end() {
    if (pid_ < 0) return 0;
    sys::send_signal(pidfd_.get(), pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0)
      if (errno != EINTR) break;  // ECHILD: whoever waits for every child was first
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

// posix_spawn(3): what is to be done in the child, and its attributes.
class Spawning {
 public:
  explicit Spawning() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;
  ~Spawning() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  // Descriptors of the host process that would be inherited are closed too.
  Result<pid_t> run(const HelperProgram& program, int socket) {
    constexpr int kProgram = 3;
    // Where the caller's standard streams are closed, it may be one of the three that are replaced first.
    const UniqueFd file(::fcntl(program.file.get(), F_DUPFD_CLOEXEC, kProgram));
    if (!file.valid()) return fail_errno("running " + shown(program.path));
    ::posix_spawn_file_actions_adddup2(&actions_, socket, 0);
    ::posix_spawn_file_actions_addopen(&actions_, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, 2, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, file.get(), kProgram);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kProgram + 1);
    char name[] = "clawrun-systemd";
    char* argv[] = {name, nullptr};
    char* environment[] = {nullptr};
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, "/proc/self/fd/3", &actions_, &attributes_, argv, environment);
    if (error != 0) return fail_errno("running " + shown(program.path), error);
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Failure no_answer(const HelperProgram& program, int status) {
  std::string how = "ended with status " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) how = "was killed by signal " + std::to_string(WTERMSIG(status));
  // What ld.so(8) ends with.
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) how += " (is libsystemd installed? run it without arguments to see)";
  return fail(ErrorKind::kUnsupported, shown(program.path) + " " + how + " and gave no answer" + kRemedy);
}

Result<> wait_readable(int socket, Clock::time_point end) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::clamp<long>(left, 0, INT_MAX)));
    if (ready > 0) return {};
    if (ready == 0) return fail(ErrorKind::kSystem, "no answer");
    if (errno != EINTR) return fail_errno("waiting for an answer");
  }
}

}  // namespace

std::string time_in_words(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

Result<HelperProgram> find_systemd_helper() {
  auto program = sys::find_helper("systemd");
  if (!program) program.error().message += std::string(": clawrun was built without libsystemd") + kRemedy;
  return program;
}

Result<std::string> ask_helper(const HelperProgram& program, std::string_view request, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  if (request.size() > systemd_protocol::kLargestMessage)
    return fail(ErrorKind::kInvalid, "the properties for systemd have " + std::to_string(request.size()) + " bytes; at most " +
                                         std::to_string(systemd_protocol::kLargestMessage) + " are allowed");
  sys::Ends ends = TRY(sys::socket_pair());
  const pid_t pid = TRY(Spawning().run(program, ends.second.get()));
  Child child(pid);
  ends.second.reset();
  // The helper may have ended already; what it has to say about that is its status.
  const ssize_t sent = ::send(ends.first.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EPIPE && errno != ECONNRESET) return fail_errno("sending a request to " + shown(program.path));
  if (auto waited = wait_readable(ends.first.get(), end); !waited)
    return fail(ErrorKind::kSystem, shown(program.path) + " gave no answer within " + time_in_words(limit) + kRemedy);
  std::string answer(systemd_protocol::kLargestMessage, '\0');
  ssize_t size = ::recv(ends.first.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  // One that answered and ended without reading its request: the error comes once, and before the answer.
  if (size < 0 && errno == ECONNRESET) size = ::recv(ends.first.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (size <= 0) return no_answer(program, child.end());
  answer.resize(static_cast<std::size_t>(size));
  return answer;
}

}  // namespace clawrun::cgroup
