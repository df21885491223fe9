#include "gateway/socks.h"

#include <algorithm>
#include <cstring>

#include "gateway/address.h"

namespace clawrun::gateway {

namespace {

constexpr std::uint8_t kConnect = 1;
constexpr std::uint8_t kV4 = 1;
constexpr std::uint8_t kName = 3;
constexpr std::uint8_t kV6 = 4;
constexpr std::size_t kRequestHeaderBytes = 4;

SocksRequest broken(SocksReply reply) {
  SocksRequest request;
  request.state = SocksRequest::State::kBroken;
  request.problem = reply;
  return request;
}

template <typename Raw>
std::string address_text(std::span<const std::uint8_t> bytes) {
  Raw raw{};
  std::memcpy(&raw, bytes.data(), sizeof raw);
  return Address::of(raw).text();
}

}  // namespace

SocksGreeting read_socks_greeting(std::span<const std::uint8_t> bytes) {
  SocksGreeting greeting;
  if (!bytes.empty() && bytes[0] != kSocksVersion) greeting.state = SocksGreeting::State::kBroken;
  if (bytes.size() < 2 || greeting.state == SocksGreeting::State::kBroken) return greeting;
  const std::size_t size = std::size_t{2} + bytes[1];
  if (bytes.size() < size) return greeting;
  const auto methods = bytes.subspan(2, bytes[1]);
  greeting.state = SocksGreeting::State::kWhole;
  greeting.size = size;
  greeting.offers_no_authentication = std::ranges::find(methods, 0) != methods.end();
  return greeting;
}

SocksRequest read_socks_request(std::span<const std::uint8_t> bytes) {
  if (!bytes.empty() && bytes[0] != kSocksVersion) return broken(SocksReply::kFailed);
  if (bytes.size() < kRequestHeaderBytes + 1) return {};
  if (bytes[2] != 0) return broken(SocksReply::kFailed);
  if (bytes[1] != kConnect) return broken(SocksReply::kNoSuchCommand);
  const std::uint8_t type = bytes[3];
  if (type != kV4 && type != kName && type != kV6) return broken(SocksReply::kNoSuchAddress);
  const std::size_t start = kRequestHeaderBytes + (type == kName ? 1 : 0);
  const std::size_t length = type == kV4 ? sizeof(in_addr) : type == kV6 ? sizeof(in6_addr) : bytes[kRequestHeaderBytes];
  if (length == 0) return broken(SocksReply::kNoSuchAddress);
  if (bytes.size() < start + length + 2) return {};
  const auto host = bytes.subspan(start, length);
  SocksRequest request;
  request.state = SocksRequest::State::kWhole;
  request.size = start + length + 2;
  request.port = static_cast<std::uint16_t>((bytes[start + length] << 8U) | bytes[start + length + 1]);
  if (type == kName)
    request.host.assign(host.begin(), host.end());
  else
    request.host = type == kV4 ? address_text<in_addr>(host) : address_text<in6_addr>(host);
  return request;
}

std::string socks_reply(SocksReply reply) {
  std::string bytes{'\5', static_cast<char>(reply), '\0', '\1'};
  return bytes.append(6, '\0');
}

}  // namespace clawrun::gateway
