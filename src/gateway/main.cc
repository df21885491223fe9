// clawrun-gateway: connects a sandbox with exactly the hosts that were named. It is a program of its own so that what it reads of
// the sandbox and of the internet never shares memory with the supervisor (docs/adr/0011-gateway.md).
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <list>

#include "gateway/confine.h"
#include "gateway/context.h"
#include "gateway/dns_answer.h"
#include "gateway/listener.h"
#include "gateway/protocol.h"
#include "gateway/request.h"
#include "gateway/udp.h"

namespace {

using namespace clawrun;
using namespace clawrun::gateway;

constexpr std::size_t kMaxCredentialBytes = 16384;
constexpr std::size_t kMaxPemBytes = std::size_t{4} << 20U;
constexpr std::uint32_t kMaxNames = 4096;
// A connection: its two ends, and for a moment a pipe in each direction. And what is there besides connections.
constexpr std::size_t kDescriptorsEach = 6;
constexpr std::size_t kOtherDescriptors = 512;

// To the end of file, at most `limit` bytes.
Result<std::string> read_all(int fd, std::size_t limit) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("reading");
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > limit) return fail(ErrorKind::kInvalid, "more than " + std::to_string(limit) + " bytes");
  }
}

Result<std::string> read_all_of(UniqueFd fd, std::size_t limit, const std::string& what) {
  auto text = read_all(fd.get(), limit);
  if (!text) return while_doing(what, text.error());
  return text;
}

// Everything that the request does not name; standard input and output are of no use here.
Result<> close_others(const Request& request) {
  std::vector<int> kept = request.descriptors();
  kept.push_back(STDERR_FILENO);
  std::ranges::sort(kept);
  unsigned first = 0;
  for (const int fd : kept) {
    if (const auto next = static_cast<unsigned>(fd); next > first && close_range(first, next - 1, 0) != 0)
      return fail_errno("closing descriptors");
    first = static_cast<unsigned>(fd) + 1;
  }
  if (close_range(first, ~0U, 0) != 0) return fail_errno("closing descriptors");
  for (const int fd : request.descriptors()) {
    if (fcntl(fd, F_GETFD) < 0) return fail(ErrorKind::kInvalid, "descriptor " + std::to_string(fd) + " is not open");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail_errno("preparing descriptor " + std::to_string(fd));
  }
  // Nothing that is opened later may take the places of standard input and output by accident.
  for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd >= 0 && fd < STDERR_FILENO;) fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  return {};
}

Result<> make_nonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno("preparing descriptor " + std::to_string(fd));
  return {};
}

Result<> check_socket(int fd, int type, int listening) {
  int found = 0;
  int accepts = 0;
  socklen_t size = sizeof found;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &size) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) != 0 || found != type || accepts != listening)
    return fail(ErrorKind::kInvalid, "descriptor " + std::to_string(fd) + " is not the socket that its place asks for");
  return make_nonblocking(fd);
}

bool is_header_value(const std::string& text) {
  return !text.empty() && std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::map<std::string, std::string>> read_credentials(const Request& request) {
  std::map<std::string, std::string> credentials;
  for (const auto& [name, fd] : request.credentials) {
    std::string& secret = credentials[name];
    secret = TRY(read_all_of(UniqueFd(fd), kMaxCredentialBytes, "reading the credential " + name));
    while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
    if (!is_header_value(secret))
      return fail(ErrorKind::kInvalid, "the credential " + name + " is empty or has control characters");
    if (mlock(secret.data(), secret.size()) != 0) return fail_errno("keeping the credential " + name + " out of swap");
  }
  return credentials;
}

Result<> prepare_injections(const Request& request, Context& context) {
  auto credentials = TRY(read_credentials(request));
  context.injections = Injections(request.inject, std::move(credentials));
  std::vector<std::string> names;
  for (const Injection& injection : request.inject)
    if (injection.where == Injection::Where::kTls) names.push_back(injection.host_text);
  if (names.empty()) return {};
  TlsFiles files;
  files.authority_certificate =
      TRY(read_all_of(UniqueFd(*request.authority_certificate), kMaxPemBytes, "reading the certificate authority"));
  files.authority_key =
      TRY(read_all_of(UniqueFd(*request.authority_key), kMaxPemBytes, "reading the certificate authority's key"));
  UniqueFd trust(open(request.trust_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!trust.valid()) return fail_errno("opening the trust store " + request.trust_file);
  files.trust = TRY(read_all_of(std::move(trust), kMaxPemBytes, "reading the trust store " + request.trust_file));
  context.tls = TRY(TlsKit::make(files, names));
  return {};
}

class Lifeline final : public Handler {
 public:
  Lifeline(Context& context, int fd) : context_(context), fd_(fd) {}
  Result<> watch() { return context_.loop.watch(fd_.get(), EPOLLIN, *this); }
  void on_ready(std::uint32_t /*epoll_events*/) override {
    context_.tasks.end_all("the sandbox has ended");
    context_.loop.stop();
  }

 private:
  Context& context_;
  UniqueFd fd_;
};

// The sockets of the sandbox, for as long as the loop runs.
class Gateway {
 public:
  explicit Gateway(Context& context) : context_(context) {}

  Result<> open(const Sockets& sockets) {
    TRY(add<Listener>(sockets.tcp, SOCK_STREAM, Connection::Door::kTransparent));
    TRY(add<Listener>(sockets.proxy, SOCK_STREAM, Connection::Door::kProxy));
    TRY(add<DnsTcpListener>(sockets.dns_tcp, SOCK_STREAM));
    TRY(add<DnsUdpSocket>(sockets.dns_udp, SOCK_DGRAM));
    TRY(add<UdpSocket>(sockets.udp, SOCK_DGRAM));
    return {};
  }

 private:
  template <typename T, typename... Rest>
  Result<> add(const std::vector<int>& fds, int type, Rest... rest) {
    for (const int fd : fds) {
      auto socket = std::make_unique<T>(context_, UniqueFd(fd), rest...);
      TRY(check_socket(fd, type, type == SOCK_STREAM ? 1 : 0));
      TRY(socket->watch());
      handlers_.push_back(std::move(socket));
    }
    return {};
  }

  Context& context_;
  std::vector<std::unique_ptr<Handler>> handlers_;
};

// As many connections as the descriptors allow.
std::size_t fit_connections(std::size_t wanted) {
  const std::size_t limit = descriptor_limit();
  const std::size_t possible = limit > kOtherDescriptors ? (limit - kOtherDescriptors) / kDescriptorsEach : 1;
  return std::min(wanted, possible);
}

Result<> run(const Request& request, Context& context) {
  TRY(context.loop.open());
  TRY(context.resolver.open(request.resolvers));
  TRY(prepare_injections(request, context));
  for (const Rule& rule : context.policy.allowing())
    if (const auto* exact = std::get_if<ExactName>(&rule.host)) context.names.pin(exact->name);
  Gateway gateway(context);
  Lifeline lifeline(context, request.lifeline);
  TRY(gateway.open(request.sockets));
  TRY(lifeline.watch());
  const std::size_t descriptors = context.limits.connections * kDescriptorsEach + kOtherDescriptors;
  TRY(confine({.uid = request.uid, .gid = request.gid, .descriptors = descriptors}));
  context.events.ready(context.limits.connections);
  auto done = context.loop.run();
  // Handlers end before what they use does.
  context.tasks.end_all("the gateway has ended");
  return done;
}

int give_up(const std::string& message) {
  std::fprintf(stderr, "clawrun-gateway: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main() {
  // Nothing is written to a terminal, and a peer that is gone is an error of a call.
  (void)std::signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct stat given {};
  if (fstat(kRequestFd, &given) != 0) {
    std::fputs("clawrun-gateway is started by clawrun, and for nothing else\n", stderr);
    return 2;
  }
  auto text = read_all(kRequestFd, kMaxRequestBytes);
  if (!text) return give_up("reading the request: " + text.error().message);
  auto request = parse_request(*text);
  if (!request) return give_up("the request: " + request.error().message);
  if (auto closed = close_others(*request); !closed) return give_up(closed.error().message);
  if (auto prepared = make_nonblocking(request->events); !prepared) return give_up(prepared.error().message);
  Limits limits = request->limits;
  limits.connections = fit_connections(limits.connections);
  Context context(Policy(request->allow, request->deny), NamePool(request->synthetic4, request->synthetic6, kMaxNames), limits,
                  UniqueFd(request->events));
  if (auto ran = run(*request, context); !ran) {
    context.events.error(ran.error().message);
    return give_up(ran.error().message);
  }
  return 0;
}
