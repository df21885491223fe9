#include "gateway/dns_message.h"

#include "gateway/rules.h"

namespace clawrun::gateway {

namespace {

constexpr std::uint8_t kResponse = 0x80;  // of the third byte
constexpr std::uint8_t kOpcode = 0x78;
constexpr std::uint8_t kTruncated = 0x02;
constexpr std::uint8_t kRecursionDesired = 0x01;
constexpr std::uint8_t kRecursionAvailable = 0x80;  // of the fourth
constexpr std::uint16_t kInternet = 1;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxNameBytes = 255;  // with lengths and the root

std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>((bytes[at] << 8U) | bytes[at + 1]);
}

void put16(std::vector<std::uint8_t>& bytes, std::uint32_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8U));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

// The size of the name at the start of `bytes`; 0 where it is none. A pointer has no place in the only question.
std::size_t read_name(std::span<const std::uint8_t> bytes, std::string& name) {
  std::size_t at = 0;
  while (at < bytes.size() && at < kMaxNameBytes) {
    const std::size_t length = bytes[at++];
    if (length == 0) return at;
    if (length > kMaxLabel || length > bytes.size() - at) return 0;
    if (!name.empty()) name += '.';
    for (const std::uint8_t byte : bytes.subspan(at, length)) name += static_cast<char>(byte == '.' ? 0 : byte);
    at += length;
  }
  return 0;
}

std::vector<std::uint8_t> header(std::uint16_t id, std::uint8_t flags, DnsCode code, std::uint32_t questions,
                                 std::uint32_t answers) {
  std::vector<std::uint8_t> bytes;
  put16(bytes, id);
  bytes.push_back(static_cast<std::uint8_t>(kResponse | flags));
  bytes.push_back(static_cast<std::uint8_t>(kRecursionAvailable | static_cast<std::uint8_t>(code)));
  put16(bytes, questions);
  put16(bytes, answers);
  put16(bytes, 0);
  put16(bytes, 0);
  return bytes;
}

}  // namespace

DnsReading read_dns_query(std::span<const std::uint8_t> message) {
  using Fate = DnsReading::Fate;
  if (message.size() < kDnsHeaderBytes || (message[2] & kResponse) != 0) return {{}, DnsCode::kFormatError, Fate::kDrop};
  if ((message[2] & kOpcode) != 0) return {{}, DnsCode::kNotImplemented};
  const bool has_records = read16(message, 6) != 0 || read16(message, 8) != 0;
  // The additional section has the client's EDNS record, if any; an answer without one says that there is no EDNS here.
  if (message.size() > kMaxDnsQueryBytes || (message[2] & kTruncated) != 0 || read16(message, 4) != 1 || has_records) return {};
  DnsQuery query;
  query.id = read16(message, 0);
  query.recursion_desired = (message[2] & kRecursionDesired) != 0;
  std::string name;
  const std::size_t name_bytes = read_name(message.subspan(kDnsHeaderBytes), name);
  const std::size_t end = kDnsHeaderBytes + name_bytes + 4;
  if (name_bytes == 0 || end > message.size()) return {};
  query.question = message.subspan(kDnsHeaderBytes, name_bytes + 4);
  query.type = read16(message, end - 4);
  if (read16(message, end - 2) != kInternet) return {{}, DnsCode::kRefused};
  query.name = canonical_name(name).value_or("");
  return {std::move(query)};
}

std::vector<std::uint8_t> dns_answer(const DnsQuery& query, DnsCode code, const std::optional<Address>& address,
                                     std::uint32_t ttl_s) {
  auto bytes = header(query.id, query.recursion_desired ? kRecursionDesired : 0, code, 1, address ? 1 : 0);
  bytes.insert(bytes.end(), query.question.begin(), query.question.end());
  if (!address) return bytes;
  put16(bytes, 0xc000U | kDnsHeaderBytes);  // the name of the question
  put16(bytes, static_cast<std::uint32_t>(address->is_v4() ? DnsType::kA : DnsType::kAaaa));
  put16(bytes, kInternet);
  put16(bytes, ttl_s >> 16U);
  put16(bytes, ttl_s & 0xffffU);
  const std::size_t start = address->is_v4() ? 12 : 0;
  put16(bytes, static_cast<std::uint32_t>(address->bytes.size() - start));
  bytes.insert(bytes.end(), address->bytes.begin() + static_cast<std::ptrdiff_t>(start), address->bytes.end());
  return bytes;
}

std::vector<std::uint8_t> dns_error(std::span<const std::uint8_t> message, DnsCode code) {
  return header(read16(message, 0), message[2] & (kOpcode | kRecursionDesired), code, 0, 0);
}

}  // namespace clawrun::gateway
