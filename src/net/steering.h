// A network namespace that has no way out but the sockets of a gateway: every address is local there, and what may leave is
// steered to them. Bytes and plain data, for the child to apply.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clawrun::net {

// In the benchmark range (RFC 2544) and in a private one (RFC 4193), which belong to nobody outside.
inline constexpr std::string_view kOwnV4 = "198.18.0.2";
inline constexpr std::string_view kOwnV6 = "fd63:6c61:7772::2";
inline constexpr std::string_view kGatewayV4 = "198.18.0.1";
inline constexpr std::string_view kGatewayV6 = "fd63:6c61:7772::1";
inline constexpr std::string_view kSyntheticV4 = "198.19.0.0";  // the gateway's addresses for names
inline constexpr std::uint8_t kSyntheticV4Bits = 16;
inline constexpr std::string_view kSyntheticV6 = "fd63:6c61:7772:1::";
inline constexpr std::uint8_t kSyntheticV6Bits = 64;
inline constexpr std::uint16_t kTcpPort = 1;
inline constexpr std::uint16_t kDnsPort = 53;
inline constexpr std::uint16_t kProxyPort = 3128;

// Of every packet of the gateway's own sockets. Nobody without a capability can set it: socket(7), SO_MARK.
inline constexpr std::uint32_t kGatewayMark = 0x636c6177;
// Of the first packet of what goes to the gateway.
inline constexpr std::uint32_t kSteeredMark = 0x636c6178;

inline constexpr std::uint16_t kLogGroup = 1;
inline constexpr std::string_view kLogDenied = "denied";  // by a rule
inline constexpr std::string_view kLogNoRule = "no rule";
inline constexpr std::uint32_t kLogBytes = 64;  // the longest header without options, and ports

// Packets to these addresses and ports go to the gateway, or are refused.
struct Destination {
  enum class Verdict : std::uint8_t { kSteer, kRefuse } verdict = Verdict::kSteer;
  int family = 0;
  std::array<std::uint8_t, 16> address{};
  std::uint8_t prefix_length = 0;
  std::uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP
  std::uint16_t first_port = 0;
  std::uint16_t last_port = 0;
};

enum class Families : std::uint8_t { kV4, kV4AndV6 };

Destination destination_of(std::string_view address, std::uint8_t prefix_length);

// rtnetlink(7): the loopback interface, its addresses, and routes that make every address local (AnyIP).
std::string address_requests(Families families);

// The first destination that a packet has decides; what has none is refused.
std::string rule_requests(Families families, const std::vector<Destination>& destinations);

// The gateway's sockets, by what arrives at them.
struct Listener {
  enum class Role : std::uint8_t { kTcp, kUdp, kDnsUdp, kDnsTcp, kProxy } role = Role::kTcp;
  int family = 0;
  std::string address;  // a sockaddr
};

std::vector<Listener> listeners(Families families, const std::vector<std::uint16_t>& udp_ports);

}  // namespace clawrun::net
