// One TCP connection of a client inside: whom it wants, whether it may, the way there, and the relay.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateway/context.h"
#include "gateway/proxy_dialog.h"
#include "gateway/side.h"
#include "gateway/sniff.h"

namespace clawrun::gateway {

// Whom a client or flow wants: a name, or an address that nobody resolved.
struct Destination {
  std::string name;  // "": `to.address`
  Endpoint to;

  [[nodiscard]] std::string text() const;
};

// A synthetic address means its name; one that stands for nobody any more is refused with the literal ones, which no rule allows.
Destination destination_of(Context& context, const Endpoint& to);
Decision decide(const Context& context, const Destination& destination, Protocol protocol);

class Connection final : public Task, private Resolver::Waiter {
 public:
  enum class Door : std::uint8_t { kTransparent, kProxy };
  Connection(Context& context, UniqueFd client, Door door);
  ~Connection() override;

  // `to`: of a transparent connection.
  void start(const Endpoint& to);
  void on_ready(std::uint32_t epoll_events) override;
  void end(Event::Verdict verdict, std::string reason) override;

 private:
  enum class Stage : std::uint8_t { kDialog, kFirstBytes, kResolving, kConnecting, kRelaying, kEnded };
  enum class Look : std::uint8_t { kMore, kPass, kRefused };

  void advance();
  void talk();
  void aim(Destination destination);
  void look_at_first_bytes();
  Look look();
  Look compare(const Sniffed& sniffed);
  void find_way();
  void on_resolved(const Resolution& resolution) override;
  void take_address(const Address& address);
  void connect_next();
  void finish_connect();
  void connected();
  void make_relay();
  [[nodiscard]] std::unique_ptr<Relay> http_relay(Injection::Where where);
  void relay();
  void on_timeout();
  void touch();
  bool send_to_client(const std::string& text);
  void say(Event::Verdict verdict, std::string reason);
  void close();

  Context& context_;
  Door door_;
  Stage stage_;
  Side client_;
  Side server_;
  ProxyDialog dialog_;
  bool is_forward_ = false;  // a request with an absolute target
  Destination destination_;
  Decision decision_;
  bool has_spoken_ = false;
  std::vector<Address> ways_;  // the last is tried next
  std::string way_problem_;
  std::optional<Address> connected_to_;
  std::optional<Sniffed::Kind> first_bytes_;  // what they were, once they are looked at and pass
  std::unique_ptr<Relay> relay_;
  SpliceRelay* gated_ = nullptr;  // relay_, while its gate is closed
  Clock::time_point started_;
  Clock::time_point active_;
  Clock::time_point connect_by_;
  Deadline deadline_;  // of the stage
  Deadline idle_;
};

}  // namespace clawrun::gateway
