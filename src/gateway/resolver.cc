#include "gateway/resolver.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>

namespace clawrun::gateway {

namespace {

constexpr std::size_t kMaxKnown = 1024;
constexpr std::size_t kMaxAsked = 512;
constexpr std::size_t kMaxAddresses = 16;
constexpr int kTryMs = 1500;
constexpr int kTries = 3;
constexpr int kShortestTtl = 1;
constexpr int kLongestTtl = 300;
constexpr std::chrono::seconds kFailureTime{1};

// IPv4 first: where the outside has no IPv6, an attempt at it costs time, and the client inside cannot tell.
Resolution resolution_of(const ares_addrinfo& result, int& ttl_s) {
  Resolution resolution;
  for (const ares_addrinfo_node* node = result.nodes; node != nullptr; node = node->ai_next) {
    sockaddr_storage storage{};
    std::memcpy(&storage, node->ai_addr, std::min<std::size_t>(node->ai_addrlen, sizeof storage));
    const auto endpoint = Endpoint::of(storage);
    if (!endpoint || resolution.addresses.size() == kMaxAddresses) continue;
    resolution.addresses.push_back(endpoint->address);
    ttl_s = std::clamp(node->ai_ttl, kShortestTtl, ttl_s);
  }
  std::ranges::stable_partition(resolution.addresses, &Address::is_v4);
  if (resolution.addresses.empty()) resolution.problem = "the name has no address";
  return resolution;
}

}  // namespace

class Resolver::Socket : public Handler {
 public:
  Socket(Resolver& resolver, ares_socket_t fd) : resolver_(resolver), fd_(fd) {}
  void on_ready(std::uint32_t events) override {
    if (is_closed) return;
    const bool can_read = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    const bool can_write = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    resolver_.process(can_read ? fd_ : ARES_SOCKET_BAD, can_write ? fd_ : ARES_SOCKET_BAD);
  }
  bool is_closed = false;

 private:
  Resolver& resolver_;
  ares_socket_t fd_;
};

Resolver::Resolver(Loop& loop) : loop_(loop), timeout_(loop, [this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }) {}

Resolver::~Resolver() {
  if (channel_ != nullptr) ares_destroy(channel_);
}

Result<> Resolver::open(const std::vector<Endpoint>& servers) {
  // Only DNS: no file is read later. ROTATE is left out, so that the first server is the first.
  char lookups[] = "b";
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = kTryMs;
  options.tries = kTries;
  options.lookups = lookups;
  options.sock_state_cb = on_socket;
  options.sock_state_cb_data = this;
  options.ndomains = 0;
  const int mask =
      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS;
  if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS)
    return fail(ErrorKind::kSystem, std::string("preparing the resolver: ") + ares_strerror(status));
  if (servers.empty()) return {};
  std::string list;
  for (const Endpoint& server : servers) {
    const std::string address = server.address.text();
    list +=
        (list.empty() ? "" : ",") + (server.address.is_v4() ? address : "[" + address + "]") + ":" + std::to_string(server.port);
  }
  if (const int status = ares_set_servers_ports_csv(channel_, list.c_str()); status != ARES_SUCCESS)
    return fail(ErrorKind::kInvalid, "setting the resolvers " + list + ": " + ares_strerror(status));
  return {};
}

void Resolver::on_socket(void* self, ares_socket_t fd, int readable, int writable) {
  auto& resolver = *static_cast<Resolver*>(self);
  auto& socket = resolver.sockets_[fd];
  const std::uint32_t events = (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
  if (events == 0) {
    if (socket) {
      socket->is_closed = true;
      resolver.loop_.forget(fd);
      resolver.loop_.discard(std::move(socket));
    }
    resolver.sockets_.erase(fd);
    return;
  }
  if (socket) return resolver.loop_.change(fd, events, *socket);
  socket = std::make_unique<Socket>(resolver, fd);
  // Where it cannot be watched the query times out.
  (void)resolver.loop_.watch(fd, events, *socket);
}

void Resolver::process(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(channel_, readable, writable);
  arm();
}

void Resolver::arm() {
  timeval storage{};
  const timeval* wait = ares_timeout(channel_, nullptr, &storage);
  if (wait == nullptr) return timeout_.clear();
  timeout_.set(std::chrono::seconds(wait->tv_sec) + std::chrono::microseconds(wait->tv_usec) + std::chrono::milliseconds(1));
}

void Resolver::remember(const std::string& name, const Resolution& resolution, Clock::duration time) {
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[name] = {resolution, Clock::now() + time};
}

void Resolver::on_answer(void* argument, int status, int /*timeouts*/, ares_addrinfo* result) {
  const auto& in_flight = *static_cast<Asked*>(argument);
  Resolver& resolver = *in_flight.resolver;
  int ttl_s = kLongestTtl;
  Resolution resolution;
  if (status == ARES_SUCCESS)
    resolution = resolution_of(*result, ttl_s);
  else
    resolution.problem = std::string("the name cannot be resolved: ") + ares_strerror(status);
  if (result != nullptr) ares_freeaddrinfo(result);
  const auto asked = resolver.asked_.extract(in_flight.name);
  if (status == ARES_EDESTRUCTION || asked.empty()) return;
  const Clock::duration time = resolution.addresses.empty() ? Clock::duration(kFailureTime) : std::chrono::seconds(ttl_s);
  resolver.remember(asked.key(), resolution, time);
  // A waiter may forget another one while it is called.
  auto& waiters = asked.mapped()->waiters;
  while (!waiters.empty()) {
    Waiter* waiter = waiters.back();
    waiters.pop_back();
    waiter->on_resolved(resolution);
  }
}

void Resolver::resolve(const std::string& name, Waiter& waiter) {
  if (const auto known = known_.find(name); known != known_.end()) {
    if (known->second.until > Clock::now()) {
      const Resolution resolution = known->second.resolution;
      return waiter.on_resolved(resolution);
    }
    known_.erase(known);
  }
  if (const auto asked = asked_.find(name); asked != asked_.end()) return asked->second->waiters.push_back(&waiter);
  if (asked_.size() >= kMaxAsked) return waiter.on_resolved({{}, "too many names are being resolved"});
  auto& asked = asked_[name];
  asked = std::make_unique<Asked>();
  asked->resolver = this;
  asked->name = name;
  asked->waiters.push_back(&waiter);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = ARES_AI_NOSORT;
  // With the final dot it is whole, whatever the search list says.
  ares_getaddrinfo(channel_, (name + ".").c_str(), nullptr, &hints, on_answer, asked.get());
  arm();
}

void Resolver::forget(Waiter& waiter) {
  for (auto& [name, asked] : asked_) std::erase(asked->waiters, &waiter);
}

}  // namespace clawrun::gateway
