// The only name server that a sandbox has: allowed names get an address of their own, all others do not exist.
#pragma once

#include <span>
#include <vector>

#include "gateway/context.h"

namespace clawrun::gateway {

class DnsAnswerer {
 public:
  explicit DnsAnswerer(Context& context) : context_(context) {}
  // Empty: nothing is answered.
  std::vector<std::uint8_t> answer(std::span<const std::uint8_t> message);

 private:
  void say(const std::string& name, Event::Verdict verdict, const Rule* rule, const char* reason);
  Context& context_;
};

class DnsUdpSocket final : public Handler {
 public:
  DnsUdpSocket(Context& context, UniqueFd socket) : context_(context), answerer_(context), socket_(std::move(socket)) {}
  Result<> watch();
  void on_ready(std::uint32_t epoll_events) override;

 private:
  Context& context_;
  DnsAnswerer answerer_;
  UniqueFd socket_;
};

class DnsTcpListener final : public Handler {
 public:
  DnsTcpListener(Context& context, UniqueFd socket) : context_(context), answerer_(context), socket_(std::move(socket)) {}
  Result<> watch() { return context_.loop.watch(socket_.get(), EPOLLIN, *this); }
  void on_ready(std::uint32_t epoll_events) override;

 private:
  Context& context_;
  DnsAnswerer answerer_;
  UniqueFd socket_;
};

}  // namespace clawrun::gateway
