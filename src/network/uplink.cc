#include "network/uplink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "network/decision.h"
#include "network/refusal.h"
#include "sys/sys.h"

namespace clawrun::network {

namespace {

constexpr std::size_t kLongestSecret = std::size_t{64} << 10U;
constexpr std::size_t kLongestLine = 4096;  // PIPE_BUF: gateway/protocol.h

// An editor's last newline belongs to no secret, and no header could hold it.
void cut_newline(std::string& secret) {
  if (secret.ends_with('\n')) secret.pop_back();
  if (secret.ends_with('\r')) secret.pop_back();
}

Result<std::string> read_secret(const spec::Credential& credential) {
  if (credential.source == spec::Credential::Source::kFile) return sys::read_file(credential.where, kLongestSecret);
  const char* value = ::getenv(credential.where.c_str());
  if (value == nullptr) return fail(ErrorKind::kInvalid, "the variable " + shown(credential.where) + " is not set");
  return std::string(value);
}

Result<UniqueFd> open_secret(const spec::Credential& credential) {
  std::string secret = TRY(read_secret(credential));
  cut_newline(secret);
  UniqueFd file(::memfd_create("clawrun-credential", MFD_CLOEXEC));
  const bool is_empty = secret.empty();
  auto written = file.valid() ? sys::write_all(file.get(), secret) : fail_errno("making a memfd");
  ::explicit_bzero(secret.data(), secret.size());
  TRY(std::move(written));
  if (is_empty) return fail(ErrorKind::kInvalid, "the secret is empty");
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("rewinding a memfd");
  return file;
}

// Never waited for, should it be a pipe. It says what the caller's sandboxes do: nobody else's business.
Result<UniqueFd> open_log(const std::string& path) {
  if (path.empty()) return UniqueFd();
  auto file = sys::open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, 0600);
  if (!file) return while_doing("--net-log", file.error());
  return file;
}

}  // namespace

Result<Uplink> Uplink::open(const plan::Plan& plan, const std::string& sandbox, Say say) {
  Uplink uplink;
  uplink.allowed_ = *plan.gateway;
  uplink.listeners_ = plan.new_network->listeners;
  uplink.sandbox_ = sandbox;
  auto program = sys::find_helper("gateway");
  if (!program) return while_doing("--network allow", program.error());
  uplink.program_ = std::move(*program);
  for (const spec::Credential& credential : plan.gateway->credentials) {
    auto secret = open_secret(credential);
    if (!secret) return while_doing("--credential " + credential.name, secret.error());
    uplink.credentials_.push_back(std::move(*secret));
  }
  UniqueFd log = TRY(open_log(plan.gateway->log));
  uplink.journal_ = Journal(sandbox, std::move(log), std::move(say));
  uplink.watched_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (uplink.watched_.valid() && uplink.watched_.get() <= 2)
    uplink.watched_.reset(::fcntl(uplink.watched_.get(), F_DUPFD_CLOEXEC, 3));
  if (!uplink.watched_.valid()) return fail_errno("making an epoll descriptor");
  return uplink;
}

Result<> Uplink::watch(Watched what, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(what);
  if (::epoll_ctl(watched_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("watching the sandbox's network");
  return {};
}

Result<> Uplink::begin(std::vector<UniqueFd> sockets) {
  if (sockets.size() != listeners_.size() + 1)
    return fail(ErrorKind::kInternal, "the sandbox has not sent the sockets of its network");
  refusals_ = std::move(sockets[0]);
  sockets.erase(sockets.begin());
  sockets_ = std::move(sockets);
  TRY(watch(Watched::kRefusals, refusals_.get()));
  for (const UniqueFd& socket : sockets_) TRY(watch(Watched::kKnock, socket.get()));
  return {};
}

void Uplink::step() {
  constexpr int kAtOnce = 8;
  epoll_event events[kAtOnce];
  const int count = ::epoll_wait(watched_.get(), events, kAtOnce, 0);
  bool has_knocked = false;
  bool has_ended = false;
  for (int i = 0; i < count; ++i) {
    switch (static_cast<Watched>(events[i].data.u32)) {
      case Watched::kKnock:
        has_knocked = true;
        break;
      case Watched::kRefusals:
        take_refusals();
        break;
      case Watched::kLines:
        (void)take_lines();
        break;
      case Watched::kEnd:
        has_ended = true;
        break;
    }
  }
  if (has_knocked && !sockets_.empty()) start_gateway();
  if (has_ended) take_end();
}

// Only now, since most commands never look outside. Whoever has knocked waits in the sockets' queues.
void Uplink::start_gateway() {
  auto started = GatewayProcess::start({program_, sandbox_, allowed_, listeners_, sockets_, credentials_});
  // The gateway alone has them from here on: with its end nobody answers any more, and the kernel refuses.
  sockets_.clear();
  credentials_.clear();
  if (!started) return lose(started.error().message);
  gateway_ = std::move(*started);
  auto watched = watch(Watched::kLines, gateway_.lines_fd());
  if (watched) watched = watch(Watched::kEnd, gateway_.pidfd());
  if (watched) return;
  (void)gateway_.kill();
  lose(watched.error().message);
}

void Uplink::take_refusals() {
  constexpr int kAtOnce = 256;  // more than the rules let through at a time
  char packet[8192];
  for (int i = 0; i < kAtOnce; ++i) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t size =
        ::recvfrom(refusals_.get(), packet, sizeof packet, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    // ENOBUFS: some were lost, and how many nobody knows.
    if (size < 0 && errno == ENOBUFS) journal_.add_lost(1);
    if (size <= 0) return;
    // Whoever has CAP_NET_ADMIN inside may write to it as well: number 0 alone is the kernel.
    if (sender.nl_pid != 0) continue;
    for (spec::NetworkDecision& refusal : refusals_in({packet, static_cast<std::size_t>(size)})) journal_.add(std::move(refusal));
  }
}

// True where there may be more.
bool Uplink::take_lines() {
  char bytes[16 << 10U];
  const ssize_t size = ::read(gateway_.lines_fd(), bytes, sizeof bytes);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (size <= 0) {
    ::epoll_ctl(watched_.get(), EPOLL_CTL_DEL, gateway_.lines_fd(), nullptr);
    return false;
  }
  unread_.append(bytes, static_cast<std::size_t>(size));
  std::size_t begin = 0;
  for (std::size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', begin)) {
    take_line(std::string_view(unread_).substr(begin, end - begin));
    begin = end + 1;
  }
  unread_.erase(0, begin);
  if (unread_.size() <= kLongestLine) return true;
  unread_.clear();
  (void)gateway_.kill();
  lose("it wrote a line without an end");
  return false;
}

void Uplink::take_line(std::string_view line) {
  auto read = parse_line(line);
  if (!read) return journal_.add_lost(1);
  switch (read->kind) {
    case GatewayLine::Kind::kReady:
      is_ready_ = true;
      return;
    case GatewayLine::Kind::kError:
      return journal_.say("network: the gateway: " + read->message);
    case GatewayLine::Kind::kDropped:
      return journal_.add_lost(read->count);
    case GatewayLine::Kind::kDecision:
      return journal_.add(std::move(read->decision));
  }
}

void Uplink::take_end() {
  if (!gateway_.runs()) return;
  // Its last words are in the pipe.
  while (take_lines()) {
  }
  ::epoll_ctl(watched_.get(), EPOLL_CTL_DEL, gateway_.pidfd(), nullptr);
  const std::string how = gateway_.kill();
  if (!is_ending_) lose(how);
}

void Uplink::lose(const std::string& why) {
  journal_.say("network: the gateway has ended, and with it the sandbox's network: " + why);
}

void Uplink::end() {
  is_ending_ = true;
  take_refusals();
  sockets_.clear();
  // One that never said that it is ready has taken nothing yet.
  if (gateway_.runs() && !is_ready_) (void)take_lines();
  if (gateway_.runs() && !is_ready_) (void)gateway_.kill();
  gateway_.ask_to_end();
}

void Uplink::kill() {
  if (gateway_.runs()) (void)take_lines();
  (void)gateway_.kill();
}

spec::NetworkUse Uplink::take_use() {
  return journal_.take();
}

}  // namespace clawrun::network
