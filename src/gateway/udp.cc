#include "gateway/udp.h"

#include "gateway/protocol.h"

namespace clawrun::gateway {

namespace {

using Verdict = Event::Verdict;

constexpr std::chrono::seconds kIdle{60};
constexpr std::size_t kMostWaiting = 4;
constexpr std::size_t kMostWaitingBytes = 4096;  // each
constexpr int kDatagrams = 64;                   // before others are served

// One buffer for all: nothing is kept in it from one datagram to the next.
std::span<std::uint8_t> datagram_buffer() {
  static std::array<std::uint8_t, kMaxDatagramBytes> buffer;
  return buffer;
}

}  // namespace

UdpFlow::UdpFlow(Context& context, UdpSocket& inside, const Datagram& first, Destination destination, Decision decision)
    : context_(context),
      inside_(&inside),
      path_(first),
      destination_(std::move(destination)),
      decision_(std::move(decision)),
      started_(Clock::now()),
      active_(started_),
      idle_(context.loop, [this] { touch(); }) {}

UdpFlow::~UdpFlow() {
  context_.resolver.forget(*this);
  context_.meter.forget(*this);
}

void UdpFlow::start() {
  idle_.set(kIdle);
  if (destination_.name.empty()) return connect_to(destination_.to.address);
  if (destination_.name == kHostName) return connect_to(*Address::parse("127.0.0.1"));
  context_.resolver.resolve(destination_.name, *this);
}

void UdpFlow::on_resolved(const Resolution& resolution) {
  if (inside_ == nullptr) return;
  Decision refused;
  for (const Address& address : resolution.addresses) {
    const Decision decision = context_.policy.decide_resolved(decision_, {address, destination_.to.port}, Protocol::kUdp);
    if (decision.allowed()) return connect_to(address);
    destination_.to.address = address;
    refused = decision;
  }
  if (resolution.addresses.empty()) return end(Verdict::kFailed, resolution.problem);
  decision_ = refused;
  end(Verdict::kDenied, refused.reason);
}

void UdpFlow::connect_to(const Address& address) {
  const Endpoint to{address, destination_.to.port};
  sockaddr_storage storage{};
  const socklen_t size = to.write(storage);
  connected_to_ = address;
  socket_.reset(socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.valid() || connect(socket_.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0)
    return end(Verdict::kFailed, fail_errno("connecting").error().message);
  if (auto watched = context_.loop.watch(socket_.get(), EPOLLIN, *this); !watched)
    return end(Verdict::kFailed, watched.error().message);
  for (const auto& bytes : std::exchange(waiting_, {})) pass_up(bytes);
}

void UdpFlow::send_up(std::span<const std::uint8_t> bytes) {
  active_ = Clock::now();
  if (socket_.valid()) return pass_up(bytes);
  if (waiting_.size() < kMostWaiting && bytes.size() <= kMostWaitingBytes) waiting_.emplace_back(bytes.begin(), bytes.end());
}

// Beyond the rate datagrams are lost, as on a slow line.
void UdpFlow::pass_up(std::span<const std::uint8_t> bytes) {
  if (context_.meter.allow(bytes.size(), *this) < bytes.size()) return;
  if (send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
  bytes_up_ += bytes.size();
  context_.meter.moved(bytes.size());
}

void UdpFlow::on_ready(std::uint32_t epoll_events) {
  if (inside_ == nullptr || epoll_events == 0) return;
  const auto buffer = datagram_buffer();
  for (int i = 0; i < kDatagrams; ++i) {
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) break;  // an ICMP error of the outside is taken with it
    const auto bytes = buffer.first(static_cast<std::size_t>(size));
    active_ = Clock::now();
    if (context_.meter.allow(bytes.size(), *this) < bytes.size()) continue;
    inside_->answer(path_, bytes);
    bytes_down_ += bytes.size();
    context_.meter.moved(bytes.size());
  }
  context_.check_volume();
}

void UdpFlow::touch() {
  const auto idle = Clock::now() - active_;
  if (idle >= kIdle) return end(Verdict::kAllowed, {});
  idle_.set(kIdle - idle);
}

void UdpFlow::end(Verdict verdict, std::string reason) {
  if (inside_ == nullptr) return;
  Event event;
  event.host = destination_.name;
  event.address = connected_to_ ? *connected_to_ : destination_.to.address;
  event.port = destination_.to.port;
  event.protocol = Protocol::kUdp;
  event.verdict = verdict;
  event.rule = decision_.rule;
  event.reason = std::move(reason);
  event.bytes_up = bytes_up_;
  event.bytes_down = bytes_down_;
  event.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  context_.events.say(event);
  inside_->forget(path_);
  inside_ = nullptr;
  socket_.reset();
  idle_.clear();
  context_.tasks.finish(context_.loop, *this);
}

Result<> UdpSocket::watch() {
  TRY(ask_for_destinations(socket_.get()));
  return context_.loop.watch(socket_.get(), EPOLLIN, *this);
}

void UdpSocket::refuse(const Datagram& datagram, const Destination& destination, const Rule* rule, std::string reason) {
  Event event;
  event.host = destination.name;
  event.address = datagram.to.address;
  event.port = datagram.to.port;
  event.protocol = Protocol::kUdp;
  event.rule = rule;
  event.reason = std::move(reason);
  context_.events.say(event);
}

UdpFlow* UdpSocket::flow_of(const Datagram& datagram) {
  const std::pair key{datagram.from, datagram.to};
  if (const auto found = flows_.find(key); found != flows_.end()) return found->second;
  Destination destination = destination_of(context_, datagram.to);
  Decision decision = decide(context_, destination, Protocol::kUdp);
  if (context_.meter.is_spent()) decision = {Decision::Verdict::kDenied, nullptr, "the volume cap is used up"};
  if (decision.allowed() && context_.tasks.size() >= context_.limits.connections)
    decision = {Decision::Verdict::kDenied, nullptr,
                "the limit of " + std::to_string(context_.limits.connections) + " connections is reached"};
  if (!decision.allowed()) {
    refuse(datagram, destination, decision.rule, decision.reason);
    return nullptr;
  }
  auto& task =
      context_.tasks.add(std::make_unique<UdpFlow>(context_, *this, datagram, std::move(destination), std::move(decision)));
  auto& flow = static_cast<UdpFlow&>(task);
  flows_[key] = &flow;
  flow.start();
  // It may have failed at once, and then it is no more in the table.
  return flows_.contains(key) ? &flow : nullptr;
}

void UdpSocket::on_ready(std::uint32_t /*epoll_events*/) {
  const auto buffer = datagram_buffer();
  for (int i = 0; i < kDatagrams; ++i) {
    const auto datagram = receive_datagram(socket_.get(), buffer);
    if (!datagram) break;
    if (UdpFlow* flow = flow_of(*datagram); flow != nullptr) flow->send_up(buffer.first(datagram->size));
  }
  context_.check_volume();
}

}  // namespace clawrun::gateway
