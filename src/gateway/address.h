// Internet addresses and networks: read, compared, and which of them are nobody's business from inside a sandbox.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace clawrun::gateway {

// IPv4 addresses are held as IPv4-mapped ones, so that both spellings of one address are equal wherever they come from.
struct Address {
  std::array<std::uint8_t, 16> bytes{};

  static std::optional<Address> parse(std::string_view text);
  static Address of(const in_addr& v4);
  static Address of(const in6_addr& v6);
  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] in_addr v4() const;
  [[nodiscard]] in6_addr v6() const;
  [[nodiscard]] std::string text() const;
  auto operator<=>(const Address&) const = default;
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  // "192.0.2.1:53", "[::1]:53".
  static std::optional<Endpoint> parse(std::string_view text);
  static std::optional<Endpoint> of(const sockaddr_storage& storage);
  // The size of what was written.
  socklen_t write(sockaddr_storage& storage) const;
  auto operator<=>(const Endpoint&) const = default;
};

struct Network {
  Address first;
  unsigned prefix = 128;  // of the 128 bits

  // "10.0.0.0/8", "fd00::/8", or an address alone. Bits beyond the prefix must be 0.
  static std::optional<Network> parse(std::string_view text);
  // An IPv6 network holds no IPv4 address, not even ::/0.
  [[nodiscard]] bool contains(const Address& address) const;
};

// A range that a name of the outside must not lead to: DNS rebinding.
struct SpecialRange {
  Network network;
  std::string_view what;
  enum class Opening : std::uint8_t { kByNarrowRule, kNever } opening = Opening::kByNarrowRule;
};

// The narrowest special range that an address is in, or nullptr. An IPv4 address that a NAT64 address carries is looked at, too.
const SpecialRange* special_range(const Address& address);

}  // namespace clawrun::gateway
