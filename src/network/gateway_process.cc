#include "network/gateway_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/text.h"
#include "network/request.h"
#include "sys/sys.h"

namespace clawrun::network {

namespace {

constexpr int kRequest = 3;  // gateway/protocol.h, kRequestFd

// Descriptors for another program, at numbers from kRequest on in the order in which they are given.
class Handover {
 public:
  explicit Handover(std::size_t count) : first_free_(kRequest + static_cast<int>(count) + 1) {}

  // A copy above all numbers that are given out, so that placing one cannot overwrite another.
  Result<int> add(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, first_free_));
    if (!copy.valid()) return fail_errno("handing a descriptor to the gateway");
    copies_.push_back(std::move(copy));
    return kRequest + static_cast<int>(copies_.size()) - 1;
  }

  // And nothing else but the caller's standard error, for what a program that cannot start has to say.
  void place(posix_spawn_file_actions_t& actions) const {
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (::fcntl(2, F_GETFD) < 0) ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int number = kRequest;
    for (const UniqueFd& copy : copies_) ::posix_spawn_file_actions_adddup2(&actions, copy.get(), number++);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, number);
  }

  [[nodiscard]] std::string program_path(int index) const { return "/proc/self/fd/" + std::to_string(kRequest + index); }

 private:
  int first_free_;
  std::vector<UniqueFd> copies_;
};

Result<UniqueFd> file_with(const std::string& text) {
  UniqueFd file(::memfd_create("clawrun-gateway-request", MFD_CLOEXEC));
  if (!file.valid()) return fail_errno("making a memfd");
  TRY(sys::write_all(file.get(), text));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("rewinding a memfd");
  return file;
}

Result<pid_t> spawn(const Handover& handover, const std::string& path) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&attributes, &signals);
  // A group of its own: an interrupt at the terminal is the supervisor's to act on.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  handover.place(actions);
  char name[] = "clawrun-gateway";
  char* argv[] = {name, nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, &attributes, argv, environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno("starting the gateway", error);
  return pid;
}

}  // namespace

Result<GatewayProcess> GatewayProcess::start(const Start& start) {
  sys::Ends lines = TRY(sys::pipe());
  sys::Ends lifeline = TRY(sys::pipe());
  // The gateway drops what does not fit instead of waiting, and so must we.
  if (::fcntl(lines.first.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("reading from the gateway");
  Handover handover(start.sockets.size() + start.credentials.size() + 4);
  RequestDescriptors numbers;
  // The request names the numbers of the others: its place is the first, and it is filled last.
  const UniqueFd request = TRY(file_with(""));
  TRY(handover.add(request.get()));
  numbers.events = TRY(handover.add(lines.second.get()));
  numbers.lifeline = TRY(handover.add(lifeline.first.get()));
  for (const UniqueFd& socket : start.sockets) {
    const int number = TRY(handover.add(socket.get()));
    numbers.listeners.push_back(number);
  }
  for (const UniqueFd& credential : start.credentials) {
    const int number = TRY(handover.add(credential.get()));
    numbers.credentials.push_back(number);
  }
  const int program = TRY(handover.add(start.program.file.get()));
  TRY(sys::write_all(request.get(), gateway_request(start.sandbox, start.gateway, start.listeners, numbers)));
  if (::lseek(request.get(), 0, SEEK_SET) != 0) return fail_errno("rewinding a memfd");
  GatewayProcess process;
  process.pid_ = TRY(spawn(handover, handover.program_path(program - kRequest)));
  process.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  process.lines_ = std::move(lines.first);
  process.lifeline_ = std::move(lifeline.second);
  if (!process.pidfd_.valid()) return fail_errno("watching the gateway");
  return process;
}

GatewayProcess& GatewayProcess::operator=(GatewayProcess&& other) noexcept {
  if (this == &other) return *this;
  (void)kill();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  lines_ = std::move(other.lines_);
  lifeline_ = std::move(other.lifeline_);
  return *this;
}

std::string GatewayProcess::kill() {
  if (pid_ <= 0) return {};
  sys::send_signal(pidfd_.get(), pid_, SIGKILL);
  const auto ended = sys::reap(pidfd_.get(), pid_);
  pid_ = -1;
  pidfd_.reset();
  lifeline_.reset();
  if (!ended) return "somebody else has reaped it";
  if (WIFSIGNALED(ended->wait_status)) return "it was killed by signal " + std::to_string(WTERMSIG(ended->wait_status));
  return "it ended with status " + std::to_string(WEXITSTATUS(ended->wait_status));
}

}  // namespace clawrun::network
