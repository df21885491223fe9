#include "engine/criu_session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "container/process.h"
#include "criu/packet.h"
#include "criu/protocol.h"
#include "sys/helper_program.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

namespace protocol = criu::protocol;

constexpr off_t kLogTailBytes = 65'536;
constexpr std::size_t kShownErrors = 3;
constexpr std::size_t kShownBytes = 300;
constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// In the new process: the socket is its standard input, its output is nobody's, and of the environment it has the PATH alone, by
// which criu, and what criu runs (iptables, ip, tar), is found.
[[noreturn]] void become_helper(const sys::HelperProgram& program, int socket, const CriuPlace& place) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  for (const int file : place.join_files)
    if (::write(file, "0", 1) != 1) ::_exit(1);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGPIPE, SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(signal, SIG_DFL);
  const int file = ::fcntl(program.file.get(), F_DUPFD_CLOEXEC, 3);
  const int own = ::fcntl(socket, F_DUPFD_CLOEXEC, 3);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (file < 0 || null < 0 || ::dup2(own, 0) < 0 || ::dup2(null, 1) < 0 || ::dup2(null, 2) < 0) ::_exit(1);
  // A session of its own: a ^C of the caller's terminal is not for CRIU, which would leave half of a container.
  ::setsid();
  const char* path = ::getenv("PATH");
  std::string variable = path == nullptr ? kDefaultPath : std::string("PATH=") + path;
  char name[] = "clawrun-criu";
  char* argv[] = {name, nullptr};
  char* environment[] = {variable.data(), nullptr};
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) ::fexecve(file, argv, environment);
  ::_exit(1);
}

// Names of the container's files are in what CRIU says.
void make_plain(std::string& text) {
  std::ranges::replace_if(
      text, [](char c) { return c < 0x20 || c == 0x7f; }, '?');
}

// What CRIU says of why: its log has it.
std::string errors_in(const std::string& log) {
  const UniqueFd file(::open(log.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.valid()) return {};
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(std::min(std::max<off_t>(size, 0), kLogTailBytes)), '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), std::max<off_t>(0, size - kLogTailBytes));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::vector<std::string> found;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t at = line.find("Error (");
    if (at == std::string_view::npos) continue;
    std::string shown_line(line.substr(at, kShownBytes));
    std::ranges::replace_if(
        shown_line, [](char c) { return c < 0x20 || c == 0x7f; }, '?');
    found.push_back(shown_line);
  }
  // The first one of a failure is its reason; the last ones say what that led to.
  if (found.size() > kShownErrors) found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(kShownErrors));
  return join(found, "; ");
}

struct Failed {
  std::string what;
  int error = 0;
  std::string words;
};

Failed read_failed(std::string_view text) {
  const auto parts = split(text, '\t');
  if (parts.size() < 4 || parts[0] != "error") return {std::string(protocol::kReading), 0, "another answer was expected"};
  const std::string_view words(parts[3].data(), static_cast<std::size_t>(text.data() + text.size() - parts[3].data()));
  return {std::string(parts[1]), static_cast<int>(parse_unsigned(parts[2], 4096).value_or(0)), std::string(words)};
}

Failure failure_of(const Failed& failed, const std::string& log) {
  if (failed.what == protocol::kMissing)
    return fail(ErrorKind::kUnsupported,
                "checkpoint and restore need CRIU, and there is no criu in $PATH: install the package criu");
  if (failed.what == protocol::kReading)
    return fail(ErrorKind::kInternal,
                "clawrun-criu does not understand this clawrun: " + failed.words + "; install both from the same version");
  if (failed.what == protocol::kStarting) return Failure(Error{ErrorKind::kSystem, failed.error, failed.words});
  std::string message = failed.what == protocol::kDied ? "CRIU died" : "CRIU failed";
  if (failed.error != 0) message += " (" + std::string(::strerror(failed.error)) + ")";
  // Only newer versions answer with the first error itself.
  std::string errors =
      failed.words.empty() ? errors_in(log) : failed.words.substr(0, failed.words.find('\n')).substr(0, kShownBytes);
  make_plain(errors);
  if (!errors.empty()) message += ": " + errors;
  return fail(ErrorKind::kSystem, message + "; its log is " + shown(log));
}

Result<Notification> read_notification(criu::Packet packet) {
  const auto parts = split(packet.text, '\t');
  if (parts.size() != 3) return fail(ErrorKind::kInternal, "clawrun-criu said " + quoted(packet.text.substr(0, 100)));
  Notification notification;
  const std::uint64_t pid = TRY(parse_unsigned(parts[1], INT32_MAX));
  notification.pid = static_cast<pid_t>(pid);
  notification.script = parts[2];
  if (!packet.descriptors.empty()) notification.descriptor = std::move(packet.descriptors.front());
  return notification;
}

}  // namespace

CriuRequest::CriuRequest(std::string_view verb) : text_(protocol::kGreeting) {
  text_ += '\0';
  (text_ += verb) += '\0';
}

void CriuRequest::option(std::string_view name, std::string_view value) {
  ((((text_ += name) += '\t') += value)) += '\0';
}

void CriuRequest::option(std::string_view name, std::uint64_t value) {
  option(name, std::string_view(std::to_string(value)));
}

void CriuRequest::switch_on(std::string_view name, bool wanted) {
  if (wanted) option(name, "1");
}

void CriuRequest::descriptor(std::string_view name, int fd) {
  option(name, std::uint64_t{place_of(fd)});
}

void CriuRequest::inherit(std::string_view key, int fd) {
  option("inherit_fd", std::string_view(std::to_string(place_of(fd)) + "\t" + std::string(key)));
}

void CriuRequest::cgroup_root(std::string_view controllers, std::string_view path) {
  option("cg_root", std::string_view(std::string(controllers) + "\t" + std::string(path)));
}

void CriuRequest::page_server(std::string_view address, unsigned port) {
  option("ps", std::string_view(std::to_string(port) + "\t" + std::string(address)));
}

std::size_t CriuRequest::place_of(int fd) {
  descriptors_.push_back(fd);
  return descriptors_.size() - 1;
}

Result<CriuSession> CriuSession::start(const CriuPlace& place) {
  const sys::HelperProgram program = TRY(sys::find_helper("criu"));
  sys::Ends ends = TRY(sys::socket_pair());
  const pid_t pid = TRY(container::clone_process({.cgroup = place.clone_into_cgroup}));
  if (pid == 0) become_helper(program, ends.second.get(), place);
  return CriuSession(pid, std::move(ends.first));
}

CriuSession::CriuSession(CriuSession&& other) noexcept : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)) {}

CriuSession::~CriuSession() {
  if (pid_ <= 0) return;
  // CRIU's own process is a child of this one too. It ends when the helper's end of its socket is closed, and its exit is reaped
  // with that of this process.
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

Result<pid_t> CriuSession::run(const CriuRequest& request, const std::string& log, const Notified& notified) {
  Result<> refused;
  if (auto sent = criu::send_packet(socket_.get(), request.text(), request.descriptors());
      !sent && sent.error().errno_value != EPIPE)
    return while_doing("asking clawrun-criu", sent.error());
  for (;;) {
    criu::Packet packet = TRY(criu::receive_packet(socket_.get()));
    if (packet.text.empty()) return fail(ErrorKind::kSystem, "clawrun-criu, the helper for CRIU, died");
    if (packet.text.starts_with("notify\t")) {
      Notification notification = TRY(read_notification(std::move(packet)));
      if (refused) refused = notified(std::move(notification));
      TRY(criu::send_packet(socket_.get(), refused ? protocol::kGo : protocol::kStop));
      continue;
    }
    if (!refused) return std::unexpected(refused.error());
    if (!packet.text.starts_with("done\t")) return failure_of(read_failed(packet.text), log);
    const std::uint64_t pid = TRY(parse_unsigned(std::string_view(packet.text).substr(5), INT32_MAX));
    return static_cast<pid_t>(pid);
  }
}

}  // namespace clawrun::engine
