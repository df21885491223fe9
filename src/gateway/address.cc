#include "gateway/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/text.h"

namespace clawrun::gateway {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

struct Row {
  std::string_view network;
  std::string_view what;
  SpecialRange::Opening opening = SpecialRange::Opening::kByNarrowRule;
};

// RFC 6890 and its registries, without the networks for documentation. Narrow ones before those that they are in.
constexpr Row kRows[] = {
    {"169.254.169.254/32", "a cloud's metadata service"},
    {"169.254.170.2/32", "a cloud's metadata service"},
    {"100.100.100.200/32", "a cloud's metadata service"},
    {"192.0.0.192/32", "a cloud's metadata service"},
    {"168.63.129.16/32", "a cloud's metadata service"},
    {"fd00:ec2::254/128", "a cloud's metadata service"},
    {"fd20:ce::254/128", "a cloud's metadata service"},
    {"0.0.0.0/8", "this host", SpecialRange::Opening::kNever},
    {"127.0.0.0/8", "loopback", SpecialRange::Opening::kNever},
    {"10.0.0.0/8", "private"},
    {"100.64.0.0/10", "shared by a provider's customers"},
    {"169.254.0.0/16", "link-local"},
    {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "reserved"},
    {"192.168.0.0/16", "private"},
    {"198.18.0.0/15", "reserved"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"},
    {"::/128", "unspecified", SpecialRange::Opening::kNever},
    {"::1/128", "loopback", SpecialRange::Opening::kNever},
    {"::/96", "an embedded IPv4 address"},
    {"64:ff9b:1::/48", "private"},
    {"2001::/32", "an embedded IPv4 address"},
    {"2002::/16", "an embedded IPv4 address"},
    {"5f00::/16", "reserved"},
    {"fc00::/7", "private"},
    {"fe80::/10", "link-local"},
    {"fec0::/10", "private"},
    {"ff00::/8", "multicast"},
};

const std::vector<SpecialRange>& special_ranges() {
  static const std::vector<SpecialRange> kRanges = [] {
    std::vector<SpecialRange> ranges;
    for (const Row& row : kRows) ranges.push_back({Network::parse(row.network).value(), row.what, row.opening});
    return ranges;
  }();
  return kRanges;
}

bool is_bit_set(const Address& address, unsigned bit) {
  return (address.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0;
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  if (in_addr v4{}; inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return of(v4);
  if (in6_addr v6{}; inet_pton(AF_INET6, terminated.c_str(), &v6) == 1) return of(v6);
  return std::nullopt;
}

Address Address::of(const in_addr& v4) {
  Address address;
  std::ranges::copy(kMapped, address.bytes.begin());
  std::memcpy(address.bytes.data() + kMapped.size(), &v4, sizeof v4);
  return address;
}

Address Address::of(const in6_addr& v6) {
  Address address;
  std::memcpy(address.bytes.data(), &v6, sizeof v6);
  return address;
}

bool Address::is_v4() const {
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

in_addr Address::v4() const {
  in_addr v4{};
  std::memcpy(&v4, bytes.data() + kMapped.size(), sizeof v4);
  return v4;
}

in6_addr Address::v6() const {
  in6_addr v6{};
  std::memcpy(&v6, bytes.data(), sizeof v6);
  return v6;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  if (const in_addr four = v4(); is_v4()) {
    inet_ntop(AF_INET, &four, buffer, sizeof buffer);
  } else {
    const in6_addr six = v6();
    inet_ntop(AF_INET6, &six, buffer, sizeof buffer);
  }
  return buffer;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_unsigned(text.substr(colon + 1), UINT16_MAX);
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = Address::parse(host);
  if (!port || !address || bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::optional<Endpoint> Endpoint::of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return Endpoint{Address::of(in.sin_addr), ntohs(in.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof in);
    return Endpoint{Address::of(in.sin6_addr), ntohs(in.sin6_port)};
  }
  return std::nullopt;
}

socklen_t Endpoint::write(sockaddr_storage& storage) const {
  storage = {};
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr = address.v4();
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  in.sin6_addr = address.v6();
  std::memcpy(&storage, &in, sizeof in);
  return sizeof in;
}

std::optional<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto first = Address::parse(text.substr(0, slash));
  if (!first) return std::nullopt;
  Network network{*first, 128};
  if (slash != std::string_view::npos) {
    // How it is written decides what the length counts: ::ffff:10.0.0.0/104 and 10.0.0.0/8 are the same.
    const bool is_dotted = text.find(':') == std::string_view::npos;
    const auto length = parse_unsigned(text.substr(slash + 1), is_dotted ? 32 : 128);
    if (!length) return std::nullopt;
    network.prefix = static_cast<unsigned>(*length) + (is_dotted ? kMappedBits : 0);
  }
  for (unsigned bit = network.prefix; bit < 128; ++bit)
    if (is_bit_set(network.first, bit)) return std::nullopt;
  return network;
}

bool Network::contains(const Address& address) const {
  if (address.is_v4() != first.is_v4()) return false;
  for (unsigned bit = 0; bit < prefix; ++bit)
    if (is_bit_set(address, bit) != is_bit_set(first, bit)) return false;
  return true;
}

const SpecialRange* special_range(const Address& address) {
  static const Network kNat64 = Network::parse("64:ff9b::/96").value();
  if (kNat64.contains(address)) {
    Address carried = address;
    std::ranges::copy(kMapped, carried.bytes.begin());
    return special_range(carried);
  }
  for (const SpecialRange& range : special_ranges())
    if (range.network.contains(address)) return &range;
  return nullptr;
}

}  // namespace clawrun::gateway
