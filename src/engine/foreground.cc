#include "engine/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "supervise/relay.h"
#include "supervise/terminal.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

constexpr int kDrain_ms = 1000;

// Whoever has ended, without blocking: the status of `pid` where it is among them.
std::optional<int> reap(pid_t pid) {
  std::optional<int> status;
  for (;;) {
    int ended = 0;
    const pid_t child = ::waitpid(-1, &ended, WNOHANG | __WALL);
    if (child < 0 && errno == EINTR) continue;
    if (child <= 0) return status;
    if (child == pid) status = ended;
  }
}

int exit_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

class Foreground {
 public:
  Foreground(const container::Started& started, const UniqueFd& console, const supervise::ForwardedSignals& signals)
      : started_(started), console_(console), signals_(signals) {}

  Result<int> run() {
    std::optional<supervise::RawTerminal> raw;
    if (console_.valid()) {
      master_ = TRY(sys::receive_descriptor(console_.get()));
      ::fcntl(master_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
      raw.emplace(0);
      supervise::copy_window_size(0, master_.get());
      in_ = supervise::Relay(0, master_.get());
      out_ = supervise::Relay(master_.get(), 1);
    }
    std::optional<int> status;
    while (!status) status = TRY(turn());
    drain();
    return exit_status(*status);
  }

 private:
  Result<std::optional<int>> turn() {
    pollfd watched[4] = {{signals_.fd(), POLLIN, 0}, {started_.pidfd.get(), POLLIN, 0}, in_.wanted(), out_.wanted()};
    if (::poll(watched, 4, -1) < 0 && errno != EINTR) return fail_errno("waiting for the container");
    in_.advance(watched[2].revents);
    out_.advance(watched[3].revents);
    if (watched[0].revents != 0) forward();
    return reap(started_.pid);
  }

  void forward() {
    signalfd_siginfo info{};
    while (::read(signals_.fd(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD) continue;
      if (signal == SIGWINCH && master_.valid()) supervise::copy_window_size(0, master_.get());
      if (signal == SIGWINCH && master_.valid()) continue;
      sys::send_signal(started_.pidfd.get(), started_.pid, signal);
    }
  }

  // What it wrote before it ended. Who still has the terminal may write on and on, and holds nobody up.
  void drain() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDrain_ms);
    while (out_.active() && std::chrono::steady_clock::now() < until) {
      pollfd watched = out_.wanted();
      if (::poll(&watched, 1, kDrain_ms) <= 0) return;
      out_.advance(watched.revents);
    }
  }

  const container::Started& started_;
  const UniqueFd& console_;
  const supervise::ForwardedSignals& signals_;
  UniqueFd master_;
  supervise::Relay in_;
  supervise::Relay out_;
};

}  // namespace

Result<OwnConsole> own_console() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("making a socket pair");
  return OwnConsole{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<int> wait_in_foreground(const container::Started& started, const UniqueFd& console,
                               const supervise::ForwardedSignals& signals) {
  return Foreground(started, console, signals).run();
}

Result<UniqueFd> connect_socket(const std::string& path, std::string_view option) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_errno("making a socket");
  // A longer path is reached by the descriptor of its directory.
  std::string name = path;
  UniqueFd directory;
  if (name.size() >= sizeof address.sun_path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return fail(ErrorKind::kInvalid, std::string(option) + ": the path is too long");
    directory = TRY(sys::open(path.substr(0, slash), O_PATH | O_DIRECTORY));
    name = "/proc/self/fd/" + std::to_string(directory.get()) + path.substr(slash);
    if (name.size() >= sizeof address.sun_path) return fail(ErrorKind::kInvalid, std::string(option) + ": the path is too long");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connecting to " + std::string(option) + " " + quoted(path));
  return socket;
}

Result<> send_pidfd(const std::string& path, std::string_view option, int pidfd) {
  if (path.empty()) return {};
  const UniqueFd socket = TRY(connect_socket(path, option));
  if (auto sent = sys::send_descriptor(socket.get(), pidfd, "pidfd"); !sent)
    return while_doing(std::string(option), sent.error());
  return {};
}

Result<> write_pid_file(const std::string& path, pid_t pid) {
  const std::size_t slash = path.rfind('/');
  const std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string draft =
      (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + "." + base + "." + std::to_string(::getpid());
  {
    UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd.valid() && errno == EEXIST) {
      ::unlink(draft.c_str());
      fd = UniqueFd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    }
    if (!fd.valid()) return fail_errno("writing the pid file " + quoted(path));
    ::fchmod(fd.get(), 0644);
    if (auto written = sys::write_all(fd.get(), std::to_string(pid)); !written) {
      ::unlink(draft.c_str());
      return while_doing("writing the pid file " + quoted(path), written.error());
    }
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(draft.c_str());
    return fail_errno("writing the pid file " + quoted(path), error);
  }
  return {};
}

}  // namespace clawrun::engine
