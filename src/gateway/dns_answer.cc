#include "gateway/dns_answer.h"

#include <array>

#include "gateway/datagram.h"
#include "gateway/dns_message.h"

namespace clawrun::gateway {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::uint32_t kTtlSeconds =
    5;                          // an address may pass to another name when a wildcard's names are more than the pool holds
constexpr int kDatagrams = 64;  // before others are served
constexpr std::chrono::seconds kTcpTime{10};

// A client that asks over TCP: one message after another, each answered before the next is read.
class DnsTcpConnection final : public Task {
 public:
  DnsTcpConnection(Context& context, DnsAnswerer& answerer, UniqueFd socket)
      : context_(context), answerer_(answerer), socket_(std::move(socket)), deadline_(context.loop, [this] { close(); }) {}

  void start() {
    deadline_.set(kTcpTime);
    if (!context_.loop.watch(socket_.get(), EPOLLIN, *this)) close();
  }
  void on_ready(std::uint32_t /*epoll_events*/) override {
    if (!socket_.valid()) return;
    const ssize_t size = recv(socket_.get(), buffer_.data() + filled_, buffer_.size() - filled_, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return close();
    filled_ += static_cast<std::size_t>(size);
    while (filled_ >= 2) {
      const std::size_t length = (std::size_t{buffer_[0]} << 8U) | buffer_[1];
      if (length > kMaxDnsQueryBytes) return close();
      if (filled_ < length + 2) return;
      if (!answer(length)) return close();
      std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(length) + 2, buffer_.begin() + static_cast<std::ptrdiff_t>(filled_),
                buffer_.begin());
      filled_ -= length + 2;
    }
  }
  void end(Event::Verdict /*verdict*/, std::string /*reason*/) override { close(); }

 private:
  bool answer(std::size_t length) {
    std::vector<std::uint8_t> bytes = answerer_.answer(std::span(buffer_).subspan(2, length));
    if (bytes.empty()) return false;
    const std::uint8_t prefix[] = {static_cast<std::uint8_t>(bytes.size() >> 8U), static_cast<std::uint8_t>(bytes.size())};
    bytes.insert(bytes.begin(), prefix, prefix + sizeof prefix);
    // A client that does not read its answers gets no more of them.
    return send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void close() {
    socket_.reset();
    deadline_.clear();
    context_.tasks.finish(context_.loop, *this);
  }

  Context& context_;
  DnsAnswerer& answerer_;
  UniqueFd socket_;
  Deadline deadline_;
  std::array<std::uint8_t, kMaxDnsQueryBytes + 2> buffer_{};
  std::size_t filled_ = 0;
};

}  // namespace

void DnsAnswerer::say(const std::string& name, Event::Verdict verdict, const Rule* rule, const char* reason) {
  Event event;
  event.host = name;
  event.port = kDnsPort;
  event.protocol = Protocol::kDns;
  event.verdict = verdict;
  event.rule = rule;
  event.reason = reason;
  context_.events.say(event);
}

std::vector<std::uint8_t> DnsAnswerer::answer(std::span<const std::uint8_t> message) {
  const DnsReading reading = read_dns_query(message);
  if (!reading.query) {
    if (reading.fate == DnsReading::Fate::kDrop) return {};
    return dns_error(message, reading.problem);
  }
  const DnsQuery& query = *reading.query;
  const Rule* rule = query.name.empty() ? nullptr : context_.policy.find_name(query.name);
  if (rule == nullptr) {
    say(query.name, Event::Verdict::kDenied, nullptr, "no rule allows this host");
    return dns_answer(query, DnsCode::kNoSuchName, {}, 0);
  }
  const bool wants_v4 = query.type == static_cast<std::uint16_t>(DnsType::kA);
  const bool wants_v6 = query.type == static_cast<std::uint16_t>(DnsType::kAaaa);
  if (!wants_v4 && !wants_v6) return dns_answer(query, DnsCode::kNoError, {}, 0);
  const NamePool::Addresses addresses = context_.names.addresses_of(query.name);
  if (addresses.age == NamePool::Addresses::Age::kNew) say(query.name, Event::Verdict::kAllowed, rule, "");
  return dns_answer(query, DnsCode::kNoError, wants_v4 ? addresses.v4 : addresses.v6, kTtlSeconds);
}

Result<> DnsUdpSocket::watch() {
  TRY(ask_for_destinations(socket_.get()));
  return context_.loop.watch(socket_.get(), EPOLLIN, *this);
}

void DnsUdpSocket::on_ready(std::uint32_t /*epoll_events*/) {
  std::uint8_t buffer[kMaxDnsQueryBytes + 1];  // one more than is allowed, to see it
  for (int i = 0; i < kDatagrams; ++i) {
    const auto datagram = receive_datagram(socket_.get(), buffer);
    if (!datagram) return;
    const auto answer = answerer_.answer(std::span(buffer).first(datagram->size));
    if (!answer.empty()) answer_datagram(socket_.get(), *datagram, answer);
  }
}

void DnsTcpListener::on_ready(std::uint32_t /*epoll_events*/) {
  UniqueFd client(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client.valid() || context_.tasks.size() >= context_.limits.connections) return;
  auto& task = context_.tasks.add(std::make_unique<DnsTcpConnection>(context_, answerer_, std::move(client)));
  static_cast<DnsTcpConnection&>(task).start();
}

}  // namespace clawrun::gateway
