// Where a sandbox may connect to, in the words of --allow and --deny, and what its gateway does beside.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::spec {

// 127.0.0.1 of the host, by name: 127.0.0.1 inside is the sandbox's own.
inline constexpr std::string_view kHostLoopbackName = "host.clawrun.internal";

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};

// An address with a prefix length, as the kernel has it.
struct AddressRange {
  int family = 0;  // AF_INET, AF_INET6
  std::array<std::uint8_t, 16> bytes{};
  std::uint8_t prefix_length = 0;
};

struct HostRule {
  enum class Protocol : std::uint8_t { kTcp, kUdp };
  std::string host;                   // "api.example.com", "*.example.com", "192.0.2.1", "10.0.0.0/8"
  std::optional<AddressRange> range;  // nullopt: a name
  std::vector<PortRange> ports;
  std::vector<Protocol> protocols;
  std::string text;  // as it was given
};

// HOST[:PORT[-PORT]][/tcp|udp]. Without a port 443 and 80, without a protocol TCP.
Result<HostRule> parse_allowed(std::string_view text);
// The same; without a port all ports, without a protocol TCP and UDP.
Result<HostRule> parse_denied(std::string_view text);

struct Credential {
  std::string name;
  enum class Source : std::uint8_t { kEnvironment, kFile } source = Source::kEnvironment;
  std::string where;  // the variable, or the file
};

// A header that the gateway adds to requests.
struct Injection {
  std::string host;
  std::string header;
  std::string credential;
};

Result<Credential> parse_credential(std::string_view text);
Result<Injection> parse_injection(std::string_view text);

// What --network allow is made of.
struct Outgoing {
  std::vector<HostRule> allow;
  std::vector<HostRule> deny;
  bool proxy_environment = false;
  std::uint64_t rate_bytes_per_s = 0;  // 0: no limit
  std::uint64_t most_bytes = 0;        // likewise
  std::optional<std::uint64_t> connections;
  std::optional<std::chrono::milliseconds> connect_timeout;
  std::string log;  // a file, or ""
  std::vector<Credential> credentials;
  std::vector<Injection> injections;
};

inline constexpr std::uint64_t kDefaultConnections = 1024;
inline constexpr std::chrono::milliseconds kDefaultConnectTimeout{10'000};

}  // namespace clawrun::spec
