// Datagrams of the sandbox: a flow for each pair of a client's port and a destination that a rule allows.
#pragma once

#include <deque>
#include <map>

#include "gateway/connection.h"
#include "gateway/context.h"
#include "gateway/datagram.h"

namespace clawrun::gateway {

class UdpSocket;

class UdpFlow final : public Task, private Resolver::Waiter {
 public:
  UdpFlow(Context& context, UdpSocket& inside, const Datagram& first, Destination destination, Decision decision);
  ~UdpFlow() override;

  void start();
  void send_up(std::span<const std::uint8_t> bytes);
  void on_ready(std::uint32_t epoll_events) override;
  void end(Event::Verdict verdict, std::string reason) override;

 private:
  void on_resolved(const Resolution& resolution) override;
  void connect_to(const Address& address);
  void pass_up(std::span<const std::uint8_t> bytes);
  void touch();

  Context& context_;
  UdpSocket* inside_;  // nullptr: ended
  Datagram path_;
  Destination destination_;
  Decision decision_;
  std::optional<Address> connected_to_;
  UniqueFd socket_;
  std::deque<std::vector<std::uint8_t>> waiting_;  // until the name is resolved
  std::uint64_t bytes_up_ = 0;
  std::uint64_t bytes_down_ = 0;
  Clock::time_point started_;
  Clock::time_point active_;
  Deadline idle_;
};

class UdpSocket final : public Handler {
 public:
  UdpSocket(Context& context, UniqueFd socket) : context_(context), socket_(std::move(socket)) {}
  Result<> watch();
  void on_ready(std::uint32_t epoll_events) override;

  void answer(const Datagram& path, std::span<const std::uint8_t> bytes) { answer_datagram(socket_.get(), path, bytes); }
  void forget(const Datagram& path) { flows_.erase({path.from, path.to}); }

 private:
  UdpFlow* flow_of(const Datagram& datagram);
  void refuse(const Datagram& datagram, const Destination& destination, const Rule* rule, std::string reason);

  Context& context_;
  UniqueFd socket_;
  std::map<std::pair<Endpoint, Endpoint>, UdpFlow*> flows_;
};

}  // namespace clawrun::gateway
