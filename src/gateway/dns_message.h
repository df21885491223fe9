// Just enough of RFC 1035 to answer one question: read strictly, never decompressed, never forwarded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gateway/address.h"

namespace clawrun::gateway {

inline constexpr std::size_t kDnsHeaderBytes = 12;
inline constexpr std::size_t kMaxDnsQueryBytes = 512;

enum class DnsCode : std::uint8_t { kNoError = 0, kFormatError = 1, kNoSuchName = 3, kNotImplemented = 4, kRefused = 5 };

enum class DnsType : std::uint16_t { kA = 1, kAaaa = 28, kAny = 255 };

struct DnsQuery {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  std::span<const std::uint8_t> question;  // its bytes, for the answer
  std::string name;                        // lower case, without a final dot; "" where it is no host name
  std::uint16_t type = 0;
};

struct DnsReading {
  std::optional<DnsQuery> query;
  DnsCode problem = DnsCode::kFormatError;                                 // where there is none
  enum class Fate : std::uint8_t { kAnswer, kDrop } fate = Fate::kAnswer;  // kDrop: a response, or no header
};

// The query refers to `message`.
DnsReading read_dns_query(std::span<const std::uint8_t> message);

// At most one record. `ttl_s` is the time that a client may keep it.
std::vector<std::uint8_t> dns_answer(const DnsQuery& query, DnsCode code, const std::optional<Address>& address,
                                     std::uint32_t ttl_s);

// The header alone, for what could not be read.
std::vector<std::uint8_t> dns_error(std::span<const std::uint8_t> message, DnsCode code);

}  // namespace clawrun::gateway
