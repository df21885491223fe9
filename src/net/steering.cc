#include "net/steering.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>

#include "net/message.h"
#include "net/nftables.h"

namespace clawrun::net {

namespace {

constexpr std::uint32_t kLoopback = 1;  // its index in every network namespace

std::string address_bytes(std::string_view text) {
  const Destination parsed = destination_of(text, 0);
  return {reinterpret_cast<const char*>(parsed.address.data()), parsed.family == AF_INET ? 4U : 16U};
}

std::uint8_t family_of(std::string_view address) {
  return address.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
}

std::string port_bytes(std::uint16_t port) {
  return bytes_of(htons(port));
}

std::string mask_bytes(std::uint8_t prefix_length, std::size_t size) {
  std::string mask(size, '\0');
  for (std::size_t bit = 0; bit < prefix_length; ++bit) mask[bit / 8] = static_cast<char>(mask[bit / 8] | 0x80 >> bit % 8);
  return mask;
}

// ---- addresses and routes ----

Request interface_up() {
  ifinfomsg info{};
  info.ifi_index = kLoopback;
  info.ifi_flags = info.ifi_change = IFF_UP;
  return {RTM_NEWLINK, NLM_F_REQUEST, info};
}

Request new_address(std::string_view address) {
  const std::string bytes = address_bytes(address);
  ifaddrmsg header{};
  header.ifa_family = family_of(address);
  header.ifa_prefixlen = static_cast<std::uint8_t>(bytes.size() * 8);
  header.ifa_flags = header.ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
  header.ifa_index = kLoopback;
  Request request(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, header);
  request.add(IFA_LOCAL, bytes);
  request.add(IFA_ADDRESS, bytes);
  return request;
}

Request everything_is_local(std::string_view source, std::uint16_t more_flags) {
  rtmsg header{};
  header.rtm_family = family_of(source);
  header.rtm_table = RT_TABLE_LOCAL;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = header.rtm_family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_LOCAL;
  Request request(RTM_NEWROUTE, static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | more_flags), header);
  request.add_number(RTA_OIF, kLoopback);
  request.add(RTA_PREFSRC, address_bytes(source));
  return request;
}

// ---- rules ----

constexpr std::uint32_t kTransport = NFT_PAYLOAD_TRANSPORT_HEADER;
constexpr std::uint32_t kNetwork = NFT_PAYLOAD_NETWORK_HEADER;
constexpr const char* kOut = "out";
constexpr const char* kIn = "in";

Rule of_family(int family) {
  return Rule().meta_is(NFT_META_NFPROTO, bytes_of(static_cast<std::uint8_t>(family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6)));
}

Rule& to_address(Rule& rule, const Destination& to) {
  const std::size_t size = to.family == AF_INET ? 4 : 16;
  const std::string_view address(reinterpret_cast<const char*>(to.address.data()), size);
  if (to.prefix_length == 0) return rule;
  return rule.payload_is(kNetwork, to.family == AF_INET ? 16 : 24, address, mask_bytes(to.prefix_length, size));
}

Rule& of_protocol(Rule& rule, std::uint8_t protocol) {
  return rule.meta_is(NFT_META_L4PROTO, bytes_of(protocol));
}

Rule& to_port(Rule& rule, std::uint16_t first, std::uint16_t last) {
  if (first == last) return rule.payload_is(kTransport, 2, port_bytes(first));
  return rule.payload_between(kTransport, 2, port_bytes(first), port_bytes(last));
}

// With two addresses more on each side than the two that are there.
std::vector<Destination> own_addresses(Families families) {
  constexpr std::uint8_t kFour = 2;  // bits
  std::vector<Destination> own{destination_of("127.0.0.0", 8), destination_of("198.18.0.0", 32 - kFour)};
  if (families == Families::kV4AndV6)
    own.insert(own.end(), {destination_of("::1", 128), destination_of("fd63:6c61:7772::", 128 - kFour)});
  return own;
}

// What needs no decision: the gateway's answers, what stays in the sandbox, and what goes on with a connection that is there.
void pass(Batch& batch, Families families) {
  batch.add_rule(kOut, Rule().meta_is(NFT_META_MARK, bytes_of(kGatewayMark)).accept());
  for (const Destination& own : own_addresses(families)) {
    Rule rule = of_family(own.family);
    batch.add_rule(kOut, to_address(rule, own).accept());
  }
  constexpr std::string_view kAckOrReset = "\x14";
  Rule going_on;
  batch.add_rule(kOut, of_protocol(going_on, IPPROTO_TCP).payload_has_any(kTransport, 13, kAckOrReset).accept());
}

void refuse(Batch& batch, Rule rule, std::uint8_t protocol, std::string_view why) {
  // A flood of refusals is not to keep the supervisor busy.
  constexpr std::uint64_t kPerSecond = 100;
  Rule logged = rule;
  batch.add_rule(kOut, logged.limit_per_second(kPerSecond, 2 * kPerSecond).log(kLogGroup, kLogBytes, why));
  batch.add_rule(kOut, protocol == IPPROTO_TCP ? rule.reject_with_reset() : rule.reject_with_prohibited());
}

void add_destination(Batch& batch, const Destination& to) {
  Rule rule = of_family(to.family);
  of_protocol(to_address(rule, to), to.protocol);
  if (to.first_port > 1 || to.last_port < UINT16_MAX) to_port(rule, to.first_port, to.last_port);
  if (to.verdict == Destination::Verdict::kSteer)
    batch.add_rule(kOut, rule.set_mark(kSteeredMark).accept());
  else
    refuse(batch, rule, to.protocol, kLogDenied);
}

void decide(Batch& batch, Families families, const std::vector<Destination>& destinations) {
  pass(batch, families);
  Rule names;
  batch.add_rule(kOut, to_port(of_protocol(names, IPPROTO_UDP), kDnsPort, kDnsPort).set_mark(kSteeredMark).accept());
  for (const Destination& to : destinations)
    if (to.family == AF_INET || families == Families::kV4AndV6) add_destination(batch, to);
  Rule tcp;
  refuse(batch, of_protocol(tcp, IPPROTO_TCP), IPPROTO_TCP, kLogNoRule);
  refuse(batch, Rule(), 0, kLogNoRule);
}

void steer(Batch& batch, Families families) {
  batch.add_rule(kIn, Rule().meta_is_not(NFT_META_MARK, bytes_of(kSteeredMark)).accept());
  for (const std::string_view gateway : {kGatewayV4, kGatewayV6}) {
    if (gateway == kGatewayV6 && families == Families::kV4) continue;
    const std::uint8_t family = family_of(gateway);
    const std::uint8_t nf_family = family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
    Rule tcp = of_family(family);
    batch.add_rule(kIn, of_protocol(tcp, IPPROTO_TCP).tproxy(nf_family, address_bytes(gateway), port_bytes(kTcpPort)));
    Rule udp = of_family(family);
    batch.add_rule(kIn, of_protocol(udp, IPPROTO_UDP).tproxy(nf_family, address_bytes(gateway)));
  }
}

std::string socket_address(std::string_view address, std::uint16_t port) {
  const std::string bytes = address_bytes(address);
  if (family_of(address) == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
    return bytes_of(v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
  return bytes_of(v6);
}

}  // namespace

Destination destination_of(std::string_view address, std::uint8_t prefix_length) {
  Destination to;
  to.family = family_of(address);
  to.prefix_length = prefix_length;
  ::inet_pton(to.family, std::string(address).c_str(), to.address.data());
  return to;
}

std::string address_requests(Families families) {
  std::vector<Request> requests{interface_up(), new_address(kOwnV4), new_address(kGatewayV4)};
  if (families == Families::kV4AndV6)
    for (const std::string_view address : {kOwnV6, kGatewayV6}) requests.push_back(new_address(address));
  if (families == Families::kV4AndV6) requests.push_back(everything_is_local(kOwnV6, 0));
  requests.push_back(everything_is_local(kOwnV4, NLM_F_ACK));
  std::string bytes;
  for (std::size_t i = 0; i < requests.size(); ++i) bytes += requests[i].bytes(static_cast<std::uint32_t>(i));
  return bytes;
}

std::string rule_requests(Families families, const std::vector<Destination>& destinations) {
  constexpr std::int32_t kBeforeRouting = -150;
  Batch batch("clawrun");
  batch.add_chain(kOut, NF_INET_LOCAL_OUT, 0);
  batch.add_chain(kIn, NF_INET_PRE_ROUTING, kBeforeRouting);
  decide(batch, families, destinations);
  steer(batch, families);
  return batch.bytes();
}

std::vector<Listener> listeners(Families families, const std::vector<std::uint16_t>& udp_ports) {
  using Role = Listener::Role;
  std::vector<Listener> all;
  const auto add = [&](Role role, std::uint16_t port) {
    all.push_back({role, AF_INET, socket_address(kGatewayV4, port)});
    if (families == Families::kV4AndV6) all.push_back({role, AF_INET6, socket_address(kGatewayV6, port)});
  };
  add(Role::kTcp, kTcpPort);
  add(Role::kDnsUdp, kDnsPort);
  add(Role::kDnsTcp, kDnsPort);
  add(Role::kProxy, kProxyPort);
  for (const std::uint16_t port : udp_ports) add(Role::kUdp, port);
  return all;
}

}  // namespace clawrun::net
