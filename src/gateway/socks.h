// SOCKS5 (RFC 1928): the greeting and the request of a client, read strictly; CONNECT without authentication alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace clawrun::gateway {

inline constexpr std::uint8_t kSocksVersion = 5;

enum class SocksReply : std::uint8_t {
  kDone = 0,
  kFailed = 1,
  kNotAllowed = 2,
  kUnreachable = 4,
  kNoSuchCommand = 7,
  kNoSuchAddress = 8
};

struct SocksGreeting {
  enum class State : std::uint8_t { kMore, kWhole, kBroken } state = State::kMore;
  std::size_t size = 0;
  bool offers_no_authentication = false;
};
SocksGreeting read_socks_greeting(std::span<const std::uint8_t> bytes);

struct SocksRequest {
  enum class State : std::uint8_t { kMore, kWhole, kBroken } state = State::kMore;
  SocksReply problem = SocksReply::kFailed;  // what a broken one is answered
  std::size_t size = 0;
  std::string host;  // a name as it came, or an address in text
  std::uint16_t port = 0;
};
SocksRequest read_socks_request(std::span<const std::uint8_t> bytes);

// With the bound address left out: 0.0.0.0:0.
std::string socks_reply(SocksReply reply);

}  // namespace clawrun::gateway
