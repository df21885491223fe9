#include "network/refusal.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include <optional>

#include "net/message.h"
#include "net/steering.h"

namespace clawrun::network {

namespace {

using spec::NetworkDecision;

struct Header {
  int family = 0;
  std::uint8_t protocol = 0;
  std::string_view address;
  std::string_view transport;
};

std::optional<Header> header_of(std::string_view packet) {
  if (packet.empty()) return std::nullopt;
  const unsigned version = static_cast<unsigned char>(packet[0]) >> 4U;
  if (version == 4) {
    const auto header = net::value_at_start<iphdr>(packet);
    if (!header || header->ihl < 5 || header->ihl * 4U > packet.size()) return std::nullopt;
    return Header{AF_INET, header->protocol, packet.substr(offsetof(iphdr, daddr), 4), packet.substr(header->ihl * 4U)};
  }
  const auto header = net::value_at_start<ip6_hdr>(packet);
  if (version != 6 || !header) return std::nullopt;
  return Header{AF_INET6, header->ip6_nxt, packet.substr(offsetof(ip6_hdr, ip6_dst), 16), packet.substr(sizeof *header)};
}

const char* protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return "icmp";
    default:
      return "other";
  }
}

std::optional<NetworkDecision> refusal_of(const Header& header, std::string_view prefix) {
  char text[INET6_ADDRSTRLEN];
  if (::inet_ntop(header.family, header.address.data(), text, sizeof text) == nullptr) return std::nullopt;
  NetworkDecision decision;
  decision.address = text;
  decision.protocol = protocol_name(header.protocol);
  decision.verdict = "denied";
  const bool is_denied = prefix.starts_with(net::kLogDenied);
  decision.reason = is_denied ? "a rule denies this address" : "no rule allows this address";
  const bool has_ports = header.protocol == IPPROTO_TCP || header.protocol == IPPROTO_UDP;
  if (has_ports && header.transport.size() >= 4)
    decision.port = ntohs(*net::value_at_start<std::uint16_t>(header.transport.substr(2)));
  return decision;
}

}  // namespace

std::vector<NetworkDecision> refusals_in(std::string_view packet) {
  constexpr std::uint16_t kPacketMessage = NFNL_SUBSYS_ULOG << 8U | NFULNL_MSG_PACKET;
  std::vector<NetworkDecision> refusals;
  for (const net::Reply& reply : net::replies_in(packet)) {
    if (reply.type != kPacketMessage || reply.payload.size() < sizeof(nfgenmsg)) continue;
    const auto attributes = net::attributes_in(reply.payload, sizeof(nfgenmsg));
    const auto payload = net::find_attribute(attributes, NFULA_PAYLOAD);
    const auto header = header_of(payload.value_or(std::string_view()));
    if (!header) continue;
    const auto prefix = net::find_attribute(attributes, NFULA_PREFIX);
    if (auto refusal = refusal_of(*header, prefix.value_or(std::string_view()))) refusals.push_back(std::move(*refusal));
  }
  return refusals;
}

}  // namespace clawrun::network
