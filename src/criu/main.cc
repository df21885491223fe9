// clawrun-criu: has CRIU dump or restore one container, by its RPC, and ends. It is a program of its own so that nothing of this
// is in the command that starts each sandbox (docs/adr/0010-criu.md).
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "criu/packet.h"
#include "criu/protocol.h"
#include "criu/rpc.h"
#include "sys/sys.h"

namespace {

namespace protocol = clawrun::criu::protocol;
using clawrun::ErrorKind;
using clawrun::Result;
using clawrun::UniqueFd;
using clawrun::criu::Answer;
using clawrun::criu::Packet;
using clawrun::criu::Request;
using clawrun::criu::Type;
using clawrun::criu::Verdict;

constexpr int kCommand = 0;
constexpr int kNotFound = 127;  // of a shell that finds no command

// Nobody is to be told where the command is gone.
void answer(const std::string& text) {
  if (!clawrun::criu::send_packet(kCommand, text)) _exit(1);
}

[[noreturn]] void give_up(std::string_view what, int error, const std::string& words) {
  answer("error\t" + std::string(what) + "\t" + std::to_string(error) + "\t" + words);
  _exit(1);
}

bool is_socket_of_command() {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(kCommand, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

// A directory that was opened in another mount namespace cannot be mounted on, and CRIU does so in the one that it works in.
Result<> open_again(const UniqueFd& fd) {
  struct stat was {};
  struct stat is {};
  if (fstat(fd.get(), &was) != 0 || !S_ISDIR(was.st_mode)) return {};
  char path[PATH_MAX];
  const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), path, sizeof path);
  if (size < 0) return clawrun::fail_errno("looking for a directory");
  const UniqueFd again = TRY(clawrun::sys::open(std::string(path, static_cast<std::size_t>(size)), O_RDONLY | O_DIRECTORY));
  if (fstat(again.get(), &is) != 0 || was.st_dev != is.st_dev || was.st_ino != is.st_ino)
    return clawrun::fail(ErrorKind::kSystem, "a directory of the images has been moved");
  if (dup3(again.get(), fd.get(), O_CLOEXEC) < 0) return clawrun::fail_errno("opening a directory again");
  return {};
}

// CRIU wants a root that is a mount. This one is in a mount namespace that ends with the restore, however that ends.
Result<> bind_root(const Request& request, const std::vector<UniqueFd>& descriptors) {
  if (request.bind_root.empty()) return {};
  if (unshare(CLONE_NEWNS) != 0) return clawrun::fail_errno("making a mount namespace for CRIU");
  if (mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return clawrun::fail_errno("leaving the host's propagation");
  if (mount(request.bind_root.c_str(), request.root.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return clawrun::fail_errno("binding the root filesystem for CRIU");
  if (mount("", request.root.c_str(), nullptr, MS_PRIVATE, nullptr) != 0)
    return clawrun::fail_errno("making the root filesystem private");
  for (const UniqueFd& fd : descriptors) TRY(open_again(fd));
  return {};
}

// The caller's keys stay outside of what is restored, which has the session keyring of CRIU.
Result<> leave_keyring() {
  if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr) < 0 && errno != ENOSYS && errno != EPERM)
    return clawrun::fail_errno("joining a session keyring");
  return {};
}

// CRIU, its socket, and whether it could be executed: a pipe that closes by itself then.
class Criu {
 public:
  Result<> start(Type verb, const std::vector<UniqueFd>& inherited) {
    clawrun::sys::Ends sockets = TRY(clawrun::sys::socket_pair());
    clawrun::sys::Ends executed = TRY(clawrun::sys::pipe());
    // The command's child, like this process: the restored one becomes its child too (`rst_sibling`), for it to wait for.
    const long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (pid < 0) return clawrun::fail_errno("starting CRIU");
    if (pid == 0) {
      // With the command, whose child it is. A dump is not to be cut off: its processes would go on with CRIU's code in them.
      // That CRIU takes back what it did as soon as nobody hears its notifications.
      if (verb == Type::kRestore) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      execute(sockets.second.get(), executed.second.get(), inherited);
    }
    sockets.second.reset();
    executed.second.reset();
    socket_ = std::move(sockets.first);
    int error = 0;
    if (read(executed.first.get(), &error, sizeof error) == sizeof error) return clawrun::fail_errno("executing criu", error);
    return {};
  }

  Result<> ask(const std::string& bytes) { return clawrun::criu::send_packet(socket_.get(), bytes); }

  // An empty text: CRIU has ended. The command's end is ours: CRIU then is, too.
  Result<Packet> hear() {
    for (;;) {
      pollfd watched[] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0}, {.fd = kCommand, .events = 0, .revents = 0}};
      if (poll(watched, 2, -1) < 0 && errno != EINTR) return clawrun::fail_errno("waiting for CRIU");
      if (watched[0].revents != 0) return clawrun::criu::receive_packet(socket_.get());
      if (watched[1].revents != 0) _exit(1);
    }
  }

 private:
  [[noreturn]] static void execute(int socket, int executed, const std::vector<UniqueFd>& inherited) {
    const std::string number = std::to_string(socket);
    fcntl(socket, F_SETFD, 0);
    for (const UniqueFd& fd : inherited) fcntl(fd.get(), F_SETFD, 0);
    // The socket of the command is none of CRIU's.
    const int null = open("/dev/null", O_RDWR);
    if (null >= 0) dup2(null, 0);
    execlp("criu", "criu", "swrk", number.c_str(), nullptr);
    const int error = errno;
    (void)!write(executed, &error, sizeof error);
    _exit(kNotFound);
  }

  UniqueFd socket_;
};

// Passes a notification on, and the command's verdict back.
Verdict ask_command(const Answer& notification, const Packet& packet) {
  std::vector<int> fds;
  for (const UniqueFd& fd : packet.descriptors) fds.push_back(fd.get());
  const std::string text = "notify\t" + std::to_string(notification.pid) + "\t" + notification.script;
  if (!clawrun::criu::send_packet(kCommand, text, fds)) _exit(1);
  const auto verdict = clawrun::criu::receive_packet(kCommand);
  if (!verdict || verdict->text.empty()) _exit(1);
  return verdict->text == protocol::kGo ? Verdict::kGo : Verdict::kStop;
}

Result<Answer> converse(Criu& criu, const Request& request) {
  TRY(criu.ask(request_bytes(request)));
  bool stopped = false;
  for (;;) {
    const Packet packet = TRY(criu.hear());
    if (packet.text.empty()) give_up(protocol::kDied, 0, "");
    const Answer heard = TRY(clawrun::criu::read_answer(packet.text));
    if (heard.type != Type::kNotify) {
      if (!heard.success) give_up(stopped ? protocol::kStopped : protocol::kRefused, heard.error, heard.words);
      return heard;
    }
    const Verdict verdict = ask_command(heard, packet);
    stopped = stopped || verdict == Verdict::kStop;
    TRY(criu.ask(clawrun::criu::notified_bytes(verdict)));
  }
}

}  // namespace

int main() {
  if (!is_socket_of_command()) {
    std::fputs("clawrun-criu is started by clawrun, and for nothing else\n", stderr);
    return 2;
  }
  const rlimit no_core{};
  setrlimit(RLIMIT_CORE, &no_core);
  const auto packet = clawrun::criu::receive_packet(kCommand);
  if (!packet || packet->text.empty()) return 1;
  std::vector<int> fds;
  for (const UniqueFd& fd : packet->descriptors) fds.push_back(fd.get());
  const auto request = clawrun::criu::read_request(packet->text, fds);
  if (!request) give_up(protocol::kReading, 0, request.error().message);
  if (auto bound = bind_root(*request, packet->descriptors); !bound) give_up(protocol::kStarting, 0, bound.error().message);
  if (auto left = leave_keyring(); !left) give_up(protocol::kStarting, 0, left.error().message);
  Criu criu;
  if (auto started = criu.start(request->type, packet->descriptors); !started) {
    const bool missing = started.error().errno_value == ENOENT;
    give_up(missing ? protocol::kMissing : protocol::kStarting, started.error().errno_value, started.error().message);
  }
  const auto done = converse(criu, *request);
  if (!done) give_up(protocol::kDied, 0, done.error().message);
  answer("done\t" + std::to_string(done->pid));
  return 0;
}
