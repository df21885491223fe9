// What a client says to the proxy before its bytes are relayed: HTTP CONNECT, a request with an absolute target, or SOCKS5. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace clawrun::gateway {

// What a client of the proxy is told when it does not get what it wants.
enum class ProxyRefusal : std::uint8_t { kDenied, kFailed };

class ProxyDialog {
 public:
  struct Step {
    enum class Kind : std::uint8_t {
      kMore,     // not enough bytes
      kReply,    // take `used` bytes, send `reply`, ask again
      kTunnel,   // take `used` bytes; then what follows is between client and host
      kForward,  // take none: the request itself is to be passed on, written anew
      kBroken,   // send `reply`, end
    } kind = Kind::kMore;
    std::size_t used = 0;
    std::string reply;
    std::string host;
    std::uint16_t port = 0;
  };
  // `bytes`: what has come since what was used last.
  Step next(std::span<const std::uint8_t> bytes);

  // "" where the response of the host itself is the answer.
  [[nodiscard]] std::string success() const;
  // `reason`: a line for people.
  [[nodiscard]] std::string refusal(ProxyRefusal refusal, const std::string& reason) const;

 private:
  enum class Speech : std::uint8_t { kUnknown, kSocksGreeting, kSocksRequest, kConnect, kForward } speech_ = Speech::kUnknown;

  Step next_socks(std::span<const std::uint8_t> bytes);
  Step next_http(std::span<const std::uint8_t> bytes);
};

}  // namespace clawrun::gateway
