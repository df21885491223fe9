#include "gateway/rules.h"

#include <algorithm>

#include "base/text.h"
#include "gateway/protocol.h"

namespace clawrun::gateway {

namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

using Verdict = Decision::Verdict;

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool covers(const Rule& rule, std::uint16_t port, Protocol protocol) {
  if (rule.protocol != protocol) return false;
  return std::ranges::any_of(rule.ports, [&](const PortRange& r) { return port >= r.first && port <= r.last; });
}

bool names(const Rule& rule, std::string_view name) {
  if (const auto* exact = std::get_if<ExactName>(&rule.host)) return exact->name == name;
  // A wildcard never opens the host's own loopback.
  if (const auto* below = std::get_if<NamesBelow>(&rule.host))
    return name != kHostName && name.size() > below->suffix.size() && name.ends_with(below->suffix);
  return false;
}

const Network* network_with(const Rule& rule, const Address& address) {
  const auto* network = std::get_if<Network>(&rule.host);
  return network != nullptr && network->contains(address) ? network : nullptr;
}

// Whether one rule of `deny` takes away all that a range of ports of an allowing rule gives.
bool is_taken_away(const std::vector<Rule>& deny, std::string_view name, Protocol protocol, const PortRange& given) {
  return std::ranges::any_of(deny, [&](const Rule& rule) {
    return rule.protocol == protocol && names(rule, name) &&
           std::ranges::any_of(rule.ports, [&](const PortRange& r) { return r.first <= given.first && r.last >= given.last; });
  });
}

Decision refuse(const Rule* rule, std::string reason) {
  return {Verdict::kDenied, rule, std::move(reason)};
}

}  // namespace

std::string_view protocol_name(Protocol protocol) {
  constexpr std::string_view kNames[] = {"tcp", "udp", "dns"};
  return kNames[static_cast<std::size_t>(protocol)];
}

std::optional<std::string> canonical_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return std::nullopt;
  std::string canonical(name);
  for (char& c : canonical)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const std::string_view label : split(canonical, '.'))
    if (label.empty() || label.size() > kMaxLabel || !std::ranges::all_of(label, is_name_byte)) return std::nullopt;
  return canonical;
}

Result<std::variant<ExactName, NamesBelow, Network>> parse_host(std::string_view host) {
  if (const auto network = Network::parse(host)) return *network;
  const bool is_wildcard = host.starts_with("*.");
  const auto name = canonical_name(is_wildcard ? host.substr(2) : host);
  if (!name || host.find('/') != std::string_view::npos)
    return fail(ErrorKind::kInvalid, quoted(host) + " is not a host name, *.NAME, an address or a network such as 192.0.2.0/24");
  if (is_wildcard) return NamesBelow{"." + *name};
  return ExactName{*name};
}

const Rule* Policy::find_name(std::string_view name) const {
  for (const Rule& rule : allow_) {
    if (!names(rule, name)) continue;
    for (const PortRange& ports : rule.ports)
      if (!is_taken_away(deny_, name, rule.protocol, ports)) return &rule;
  }
  return nullptr;
}

Decision Policy::decide_name(std::string_view name, std::uint16_t port, Protocol protocol) const {
  for (const Rule& rule : deny_)
    if (names(rule, name) && covers(rule, port, protocol)) return refuse(&rule, "a rule denies this host");
  for (const Rule& rule : allow_)
    if (names(rule, name) && covers(rule, port, protocol)) return {Verdict::kAllowed, &rule, {}};
  if (find_name(name) != nullptr) return refuse(nullptr, "no rule allows this port of the host");
  return refuse(nullptr, "no rule allows this host");
}

Decision Policy::decide_literal(const Endpoint& to, Protocol protocol) const {
  const SpecialRange* special = special_range(to.address);
  if (special != nullptr && special->opening == SpecialRange::Opening::kNever)
    return refuse(nullptr, "the address is " + std::string(special->what) + "; the host's own is reached by the name " +
                               std::string(kHostName));
  for (const Rule& rule : deny_)
    if (network_with(rule, to.address) != nullptr && covers(rule, to.port, protocol))
      return refuse(&rule, "a rule denies this address");
  bool was_too_wide = false;
  for (const Rule& rule : allow_) {
    const Network* network = network_with(rule, to.address);
    if (network == nullptr || !covers(rule, to.port, protocol)) continue;
    // 0.0.0.0/0 means the internet, not the metadata service beside it: a special range is opened by what lies in it.
    if (special == nullptr || network->prefix >= special->network.prefix) return {Verdict::kAllowed, &rule, {}};
    was_too_wide = true;
  }
  if (was_too_wide)
    return refuse(nullptr, "the address is " + std::string(special->what) + ", which a rule for a wider network does not open");
  return refuse(nullptr, "no rule allows this address");
}

Decision Policy::decide_resolved(const Decision& by_name, const Endpoint& to, Protocol protocol) const {
  for (const Rule& rule : deny_)
    if (network_with(rule, to.address) != nullptr && covers(rule, to.port, protocol))
      return refuse(&rule, "a rule denies the address of this host");
  const SpecialRange* special = special_range(to.address);
  if (special == nullptr) return by_name;
  if (Decision literal = decide_literal(to, protocol); literal.allowed()) return literal;
  return refuse(nullptr,
                "the name leads to an address that is " + std::string(special->what) + " and that no rule allows itself");
}

}  // namespace clawrun::gateway
