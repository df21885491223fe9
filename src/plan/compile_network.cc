#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <set>

#include "net/nftables.h"
#include "plan/internal.h"

namespace clawrun::plan {

namespace {

using net::Destination;
using spec::HostRule;

struct Synthetic {
  std::string_view address;
  std::uint8_t prefix_length;
};
constexpr Synthetic kSynthetic[] = {{net::kSyntheticV4, net::kSyntheticV4Bits}, {net::kSyntheticV6, net::kSyntheticV6Bits}};

Destination with(Destination to, Destination::Verdict verdict, HostRule::Protocol protocol, const spec::PortRange& ports) {
  to.verdict = verdict;
  to.protocol = protocol == HostRule::Protocol::kTcp ? IPPROTO_TCP : IPPROTO_UDP;
  to.first_port = ports.first;
  to.last_port = ports.last;
  return to;
}

void add_rule(std::vector<Destination>& all, const HostRule& rule, Destination::Verdict verdict) {
  if (!rule.range) return;
  const Destination to{.family = rule.range->family, .address = rule.range->bytes, .prefix_length = rule.range->prefix_length};
  for (const HostRule::Protocol protocol : rule.protocols)
    for (const spec::PortRange& ports : rule.ports) all.push_back(with(to, verdict, protocol, ports));
}

// What a name's address may be used for, the gateway decides, which alone knows the name: every TCP port, and those UDP ports
// that it has sockets for.
void add_names(std::vector<Destination>& all, const std::set<std::uint16_t>& udp_ports) {
  for (const auto& [address, prefix_length] : kSynthetic) {
    const Destination to = net::destination_of(address, prefix_length);
    all.push_back(with(to, Destination::Verdict::kSteer, HostRule::Protocol::kTcp, {1, UINT16_MAX}));
    for (const std::uint16_t port : udp_ports)
      all.push_back(with(to, Destination::Verdict::kSteer, HostRule::Protocol::kUdp, {port, port}));
  }
}

std::set<std::uint16_t> udp_ports_of(const std::vector<HostRule>& rules) {
  std::set<std::uint16_t> ports;
  for (const HostRule& rule : rules) {
    if (std::ranges::find(rule.protocols, HostRule::Protocol::kUdp) == rule.protocols.end()) continue;
    for (const spec::PortRange& range : rule.ports)
      for (unsigned port = range.first; port <= range.last; ++port) ports.insert(static_cast<std::uint16_t>(port));
  }
  return ports;
}

// The kernel refuses what no rule for addresses names, in connect(2) itself; the gateway, which sees the rest, knows all rules.
std::vector<Destination> destinations_of(const spec::Outgoing& outgoing, const std::set<std::uint16_t>& udp_ports) {
  std::vector<Destination> all;
  for (const HostRule& rule : outgoing.deny) add_rule(all, rule, Destination::Verdict::kRefuse);
  for (const HostRule& rule : outgoing.allow) add_rule(all, rule, Destination::Verdict::kSteer);
  add_names(all, udp_ports);
  return all;
}

Result<> compile_gateway(Plan& plan, const spec::Outgoing& outgoing, const Inputs& inputs) {
  using What = NetlinkRequests::What;
  const net::Families families = inputs.has_ipv6 ? net::Families::kV4AndV6 : net::Families::kV4;
  const std::set<std::uint16_t> udp_ports = udp_ports_of(outgoing.allow);
  NewNetwork& network = plan.new_network.emplace();
  network.requests = {{What::kAddresses, NETLINK_ROUTE, net::address_requests(families)},
                      {What::kRefusals, NETLINK_NETFILTER, net::log_listener_requests(net::kLogGroup, net::kLogBytes), true},
                      {What::kRules, NETLINK_NETFILTER, net::rule_requests(families, destinations_of(outgoing, udp_ports))}};
  // What one packet of netlink holds is bounded by net.core.wmem_default, 208k on all but the smallest machines.
  constexpr std::size_t kMostBytes = std::size_t{200} << 10U;
  if (network.requests.back().bytes.size() > kMostBytes)
    return fail(
        ErrorKind::kInvalid,
        "--allow and --deny: too many rules for addresses; a network such as 10.0.0.0/8 is one rule, and a rule for a name "
        "costs nothing here");
  network.listeners = net::listeners(families, {udp_ports.begin(), udp_ports.end()});
  plan.gateway = Gateway{.allow = outgoing.allow,
                         .deny = outgoing.deny,
                         .credentials = outgoing.credentials,
                         .injections = outgoing.injections,
                         .has_ipv6 = inputs.has_ipv6,
                         .connections = outgoing.connections.value_or(spec::kDefaultConnections),
                         .connect_timeout = outgoing.connect_timeout.value_or(spec::kDefaultConnectTimeout),
                         .rate_bytes_per_s = outgoing.rate_bytes_per_s,
                         .most_bytes = outgoing.most_bytes,
                         .log = outgoing.log};
  return {};
}

}  // namespace

bool has_resolver(const spec::SandboxSpec& spec) {
  return spec.network != spec::Network::kNone;
}

Result<> compile_network(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  switch (spec.network) {
    case spec::Network::kNone:
      plan.new_network = {.requests = {{NetlinkRequests::What::kLoopback, NETLINK_ROUTE, inputs.loopback_request}}};
      return {};
    case spec::Network::kAllow:
      return compile_gateway(plan, spec.outgoing, inputs);
    case spec::Network::kNamespace:
      if (!inputs.host.privileged)
        return fail(ErrorKind::kUnsupported,
                    "--network ns: only root can put a sandbox into a network namespace that it does not own; --network allow "
                    "reaches named hosts without root");
      plan.network_namespace = inputs.network_namespace;
      return {};
    case spec::Network::kHost:
      return {};
    case spec::Network::kAuto:
      break;
  }
  return fail(ErrorKind::kInternal, "a network of no kind");
}

}  // namespace clawrun::plan
