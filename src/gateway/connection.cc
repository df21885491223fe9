#include "gateway/connection.h"

#include <sys/socket.h>

#include <algorithm>

#include "gateway/http_relay.h"
#include "gateway/protocol.h"
#include "gateway/tls_stream.h"

namespace clawrun::gateway {

namespace {

using Verdict = Event::Verdict;

// A client that has said nothing by then waits for the server to speak first.
constexpr std::chrono::milliseconds kSilence{200};
constexpr int kDrains = 16;
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

// The peer gets RST and not an end of file: it is told at once that nobody is there.
void reset_connection(UniqueFd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  if (fd.valid()) (void)setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.reset();
}

}  // namespace

std::string Destination::text() const {
  return name.empty() ? to.address.text() : name;
}

Destination destination_of(Context& context, const Endpoint& to) {
  return {std::string(context.names.name_of(to.address)), to};
}

Decision decide(const Context& context, const Destination& destination, Protocol protocol) {
  if (!destination.name.empty()) return context.policy.decide_name(destination.name, destination.to.port, protocol);
  if (context.names.is_synthetic(destination.to.address))
    return {Decision::Verdict::kDenied, nullptr, "the address stands for no name"};
  return context.policy.decide_literal(destination.to, protocol);
}

Connection::Connection(Context& context, UniqueFd client, Door door)
    : context_(context),
      door_(door),
      stage_(door == Door::kProxy ? Stage::kDialog : Stage::kFirstBytes),
      client_(*this),
      server_(*this),
      started_(Clock::now()),
      active_(started_),
      deadline_(context.loop, [this] { on_timeout(); }),
      idle_(context.loop, [this] { touch(); }) {
  client_.fd = std::move(client);
}

Connection::~Connection() {
  context_.resolver.forget(*this);
  context_.meter.forget(*this);
}

void Connection::start(const Endpoint& to) {
  destination_.to = to;
  if (auto watched = client_.watch(context_.loop); !watched) return end(Verdict::kFailed, watched.error().message);
  deadline_.set(context_.limits.connect_timeout);
  if (door_ == Door::kTransparent) aim(destination_of(context_, to));
}

void Connection::on_ready(std::uint32_t /*epoll_events*/) {
  advance();
}

void Connection::advance() {
  switch (stage_) {
    case Stage::kDialog:
      return talk();
    case Stage::kFirstBytes:
      return look_at_first_bytes();
    case Stage::kResolving:
    case Stage::kEnded:
      return;
    case Stage::kConnecting:
      return finish_connect();
    case Stage::kRelaying:
      return relay();
  }
}

void Connection::talk() {
  std::uint8_t bytes[kMaxSniffBytes];
  while (stage_ == Stage::kDialog) {
    const ssize_t size = recv(client_.fd.get(), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return close();
    ProxyDialog::Step step = dialog_.next({bytes, static_cast<std::size_t>(size)});
    if (step.kind == ProxyDialog::Step::Kind::kMore) return;
    if (step.used > 0 && recv(client_.fd.get(), bytes, step.used, MSG_DONTWAIT) != static_cast<ssize_t>(step.used))
      return close();
    if (!step.reply.empty() && !send_to_client(step.reply)) return close();
    if (step.kind == ProxyDialog::Step::Kind::kReply) continue;
    if (step.kind == ProxyDialog::Step::Kind::kBroken) {
      say(Verdict::kDenied, "what it said to the proxy cannot be read, or is not possible there");
      return close();
    }
    is_forward_ = step.kind == ProxyDialog::Step::Kind::kForward;
    const auto address = Address::parse(step.host);
    const auto name = canonical_name(step.host);
    if (address) return aim(destination_of(context_, {*address, step.port}));
    if (name) return aim({*name, {{}, step.port}});
    destination_.to.port = step.port;
    return end(Verdict::kDenied, "it asked the proxy for what is no host name");
  }
}

void Connection::aim(Destination destination) {
  destination_ = std::move(destination);
  decision_ = decide(context_, destination_, Protocol::kTcp);
  if (context_.meter.is_spent()) decision_ = {Decision::Verdict::kDenied, nullptr, "the volume cap is used up"};
  if (!decision_.allowed()) return end(Verdict::kDenied, decision_.reason);
  const bool is_looked_at = !destination_.name.empty() && !is_forward_;
  if (!is_looked_at) first_bytes_ = Sniffed::Kind::kOther;
  if (!is_looked_at || door_ == Door::kProxy) return find_way();
  stage_ = Stage::kFirstBytes;
  // Where a header is to be put in, the client is an HTTP one, which speaks first.
  if (!context_.injections.has_any(destination_.name)) deadline_.set(std::min(kSilence, context_.limits.connect_timeout));
  look_at_first_bytes();
}

void Connection::look_at_first_bytes() {
  if (stage_ == Stage::kFirstBytes && look() == Look::kPass) find_way();
}

// What is looked at stays in the socket, for the relay.
Connection::Look Connection::look() {
  if (first_bytes_) return Look::kPass;
  std::uint8_t bytes[kMaxSniffBytes];
  const ssize_t size = recv(client_.fd.get(), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return Look::kMore;
  if (size < 0) {
    end(Verdict::kFailed, {});
    return Look::kRefused;
  }
  // An end of file without a word is passed on as such.
  const Sniffed sniffed = size == 0 ? Sniffed{Sniffed::Kind::kOther, {}, {}} : sniff({bytes, static_cast<std::size_t>(size)});
  if (sniffed.kind == Sniffed::Kind::kMore) {
    // It speaks, but slowly: for the whole of its greeting it has the time of a connect.
    if (!has_spoken_) deadline_.set(context_.limits.connect_timeout);
    has_spoken_ = true;
    return Look::kMore;
  }
  return compare(sniffed);
}

Connection::Look Connection::compare(const Sniffed& sniffed) {
  const bool is_tls = sniffed.kind == Sniffed::Kind::kTls;
  std::string problem;
  if (sniffed.kind == Sniffed::Kind::kBroken) {
    problem = sniffed.problem;
  } else if (is_tls && sniffed.name.empty()) {
    problem = "its TLS greeting names no server";
  } else if (sniffed.kind != Sniffed::Kind::kOther && canonical_name(sniffed.name) != destination_.name) {
    problem = std::string(is_tls ? "its TLS greeting" : "its HTTP request") + " is for " + sniffed.name.substr(0, 253);
  }
  if (problem.empty()) {
    first_bytes_ = sniffed.kind;
    return Look::kPass;
  }
  decision_.rule = nullptr;
  end(Verdict::kDenied, problem);
  return Look::kRefused;
}

void Connection::find_way() {
  connect_by_ = Clock::now() + context_.limits.connect_timeout;
  deadline_.set(context_.limits.connect_timeout);
  stage_ = Stage::kResolving;
  if (destination_.name.empty()) {
    ways_ = {destination_.to.address};
    return connect_next();
  }
  if (destination_.name == kHostName) {
    ways_ = {*Address::parse("::1"), *Address::parse("127.0.0.1")};
    return connect_next();
  }
  context_.resolver.resolve(destination_.name, *this);
}

void Connection::on_resolved(const Resolution& resolution) {
  if (stage_ != Stage::kResolving) return;
  way_problem_ = resolution.problem;
  for (const Address& address : resolution.addresses) take_address(address);
  if (ways_.empty() && !decision_.allowed()) return end(Verdict::kDenied, decision_.reason);
  std::ranges::reverse(ways_);
  connect_next();
}

// The verdict on the last address that is refused stands where none is left.
void Connection::take_address(const Address& address) {
  const Endpoint to{address, destination_.to.port};
  const Decision by_name = context_.policy.decide_name(destination_.name, to.port, Protocol::kTcp);
  const Decision decision = context_.policy.decide_resolved(by_name, to, Protocol::kTcp);
  if (decision.allowed()) {
    ways_.push_back(address);
    decision_ = by_name;
  } else if (ways_.empty()) {
    destination_.to.address = address;
    decision_ = decision;
  }
}

void Connection::connect_next() {
  while (!ways_.empty()) {
    const Endpoint to{ways_.back(), destination_.to.port};
    // Each has its part of the time that is left.
    deadline_.set(std::max<Clock::duration>(connect_by_ - Clock::now(), {}) / static_cast<int>(ways_.size()));
    ways_.pop_back();
    server_.fd.reset(socket(to.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    server_.is_readable = server_.is_writable = false;
    sockaddr_storage storage{};
    const socklen_t size = to.write(storage);
    connected_to_ = to.address;
    stage_ = Stage::kConnecting;
    if (server_.fd.valid() &&
        (connect(server_.fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0 || errno == EINPROGRESS) &&
        server_.watch(context_.loop))
      return;
    way_problem_ = fail_errno("connecting").error().message;
  }
  end(Verdict::kFailed, way_problem_.empty() ? "the host cannot be reached" : way_problem_);
}

void Connection::finish_connect() {
  if (!server_.is_writable) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(server_.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  sockaddr_storage peer{};
  size = sizeof peer;
  if (error == 0 && getpeername(server_.fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    // It was an event of the attempt before this one.
    server_.is_writable = false;
    return;
  }
  if (error == 0) return connected();
  way_problem_ = fail_errno("connecting", error).error().message;
  connect_next();
}

void Connection::connected() {
  deadline_.clear();
  stage_ = Stage::kRelaying;
  if (door_ == Door::kProxy && !send_to_client(dialog_.success())) return end(Verdict::kFailed, {});
  if (!first_bytes_ && context_.injections.has_any(destination_.name)) deadline_.set(context_.limits.connect_timeout);
  active_ = Clock::now();
  if (context_.limits.idle_timeout.count() > 0) idle_.set(context_.limits.idle_timeout);
  relay();
}

std::unique_ptr<Relay> Connection::http_relay(Injection::Where where) {
  const bool is_tls = where == Injection::Where::kTls;
  HttpRewriter::To to;
  to.host = destination_.name.empty() ? destination_.to.address.text() : destination_.name;
  to.port = destination_.to.port;
  to.default_port = is_tls ? kHttpsPort : kHttpPort;
  to.scheme = is_tls ? "https" : "http";
  to.headers = context_.injections.headers_for(destination_.name, where);
  to.requests = is_forward_ ? HttpRewriter::Requests::kOne : HttpRewriter::Requests::kMany;
  HttpRelay::Ends ends;
  if (!is_tls) {
    ends = {plain_stream(client_.fd.get()), plain_stream(server_.fd.get())};
  } else {
    const auto& list = context_.injections.list();
    const auto injection =
        std::ranges::find_if(list, [&](const Injection& i) { return i.where == where && names_host(i.host, destination_.name); });
    TlsKit::Session client = context_.tls->towards_client(injection->host_text, client_.fd.get());
    TlsKit::Session server = context_.tls->towards_host(destination_.name, server_.fd.get());
    if (!client || !server) return nullptr;
    ends = {tls_stream(std::move(client)), tls_stream(std::move(server))};
  }
  return std::make_unique<HttpRelay>(std::move(ends), context_.meter, std::move(to));
}

void Connection::make_relay() {
  const auto wants = [&](Injection::Where where) { return !context_.injections.headers_for(destination_.name, where).empty(); };
  if (is_forward_ || (first_bytes_ == Sniffed::Kind::kHttp && wants(Injection::Where::kPlain))) {
    relay_ = http_relay(Injection::Where::kPlain);
  } else if (first_bytes_ == Sniffed::Kind::kTls && wants(Injection::Where::kTls)) {
    relay_ = http_relay(Injection::Where::kTls);
  } else {
    const auto gate = first_bytes_ ? SpliceRelay::Gate::kOpen : SpliceRelay::Gate::kClosed;
    auto splice = std::make_unique<SpliceRelay>(client_, server_, context_.meter, context_.pipes, gate);
    gated_ = first_bytes_ ? nullptr : splice.get();
    relay_ = std::move(splice);
  }
}

void Connection::relay() {
  if (!first_bytes_) {
    const Look seen = look();
    if (seen == Look::kRefused) return;
    if (seen == Look::kPass) {
      deadline_.clear();
      if (gated_ != nullptr) gated_->open_gate();
      gated_ = nullptr;
    } else if (context_.injections.has_any(destination_.name)) {
      return;  // which relay it is to be depends on them
    }
  }
  if (relay_ == nullptr) make_relay();
  if (relay_ == nullptr) return end(Verdict::kFailed, "no memory is left for it");
  const std::uint64_t before = relay_->bytes_up + relay_->bytes_down;
  const Relay::Progress progress = relay_->pump(*this);
  if (relay_->bytes_up + relay_->bytes_down != before) active_ = Clock::now();
  if (progress == Relay::Progress::kMore) context_.loop.again(*this);
  if (progress == Relay::Progress::kFailed) {
    const std::string problem = relay_->problem;
    return end(problem.empty() ? Verdict::kAllowed : Verdict::kFailed, problem);
  }
  if (progress == Relay::Progress::kDone) {
    say(Verdict::kAllowed, {});
    return close();
  }
  context_.check_volume();
}

void Connection::on_timeout() {
  if (stage_ == Stage::kFirstBytes && !has_spoken_ && !context_.injections.has_any(destination_.name)) return find_way();
  if (stage_ == Stage::kConnecting && !ways_.empty()) return connect_next();
  const bool was_slow = stage_ == Stage::kDialog || stage_ == Stage::kFirstBytes || stage_ == Stage::kRelaying;
  end(was_slow ? Verdict::kDenied : Verdict::kFailed,
      was_slow ? "it took too long to say whom it wants" : "the host did not answer in time");
}

void Connection::touch() {
  const auto idle = Clock::now() - active_;
  if (idle >= context_.limits.idle_timeout) return end(Verdict::kAllowed, "it was idle for too long");
  idle_.set(context_.limits.idle_timeout - idle);
}

bool Connection::send_to_client(const std::string& text) {
  return text.empty() ||
         send(client_.fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

void Connection::say(Verdict verdict, std::string reason) {
  Event event;
  event.host = destination_.name;
  if (connected_to_)
    event.address = connected_to_;
  else if (destination_.to.address != Address{})
    event.address = destination_.to.address;
  event.port = destination_.to.port;
  event.verdict = verdict;
  event.rule = decision_.rule;
  event.reason = std::move(reason);
  if (relay_ != nullptr) {
    event.bytes_up = relay_->bytes_up;
    event.bytes_down = relay_->bytes_down;
  }
  event.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  context_.events.say(event);
}

void Connection::end(Verdict verdict, std::string reason) {
  if (stage_ == Stage::kEnded) return;
  if (door_ == Door::kProxy && (stage_ != Stage::kRelaying) && client_.fd.valid()) {
    const auto refusal = verdict == Verdict::kDenied ? ProxyRefusal::kDenied : ProxyRefusal::kFailed;
    if (send_to_client(dialog_.refusal(refusal, destination_.text() + ": " + reason))) {
      say(verdict, std::move(reason));
      return close();
    }
  }
  say(verdict, std::move(reason));
  reset_connection(client_.fd);
  reset_connection(server_.fd);
  close();
}

void Connection::close() {
  if (stage_ == Stage::kEnded) return;
  stage_ = Stage::kEnded;
  relay_.reset();
  // What the client still sends would turn the end of file into a reset, which overtakes the answer.
  std::uint8_t unread[4096];
  if (client_.fd.valid())
    for (int i = 0; i < kDrains && recv(client_.fd.get(), unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) continue;
  client_.fd.reset();
  server_.fd.reset();
  deadline_.clear();
  idle_.clear();
  context_.tasks.finish(context_.loop, *this);
}

}  // namespace clawrun::gateway
