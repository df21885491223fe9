#include "network/request.h"

#include <nlohmann/json.hpp>

namespace clawrun::network {

namespace {

using Json = nlohmann::ordered_json;
using spec::HostRule;

constexpr unsigned kNobody = 65534;

Json sockets_json(const std::vector<net::Listener>& listeners, const std::vector<int>& descriptors) {
  constexpr const char* kRoles[] = {"tcp", "udp", "dns_udp", "dns_tcp", "proxy"};
  Json json = Json::object();
  for (std::size_t i = 0; i < listeners.size(); ++i)
    json[kRoles[static_cast<std::size_t>(listeners[i].role)]].push_back(descriptors.at(i));
  return json;
}

Json rules_json(const std::vector<HostRule>& rules) {
  Json all = Json::array();
  for (const HostRule& rule : rules) {
    Json ports = Json::array();
    for (const spec::PortRange& range : rule.ports) ports.push_back({range.first, range.last});
    for (const HostRule::Protocol protocol : rule.protocols)
      all.push_back({{"host", rule.host},
                     {"ports", ports},
                     {"protocol", protocol == HostRule::Protocol::kTcp ? "tcp" : "udp"},
                     {"rule", rule.text}});
  }
  return all;
}

std::string network_text(std::string_view address, unsigned prefix_length) {
  return std::string(address) + "/" + std::to_string(prefix_length);
}

}  // namespace

std::string gateway_request(const std::string& sandbox, const plan::Gateway& gateway, const std::vector<net::Listener>& listeners,
                            const RequestDescriptors& descriptors) {
  Json json;
  json["sandbox"] = sandbox;
  json["sockets"] = sockets_json(listeners, descriptors.listeners);
  json["events"] = descriptors.events;
  json["lifeline"] = descriptors.lifeline;
  json["allow"] = rules_json(gateway.allow);
  json["deny"] = rules_json(gateway.deny);
  json["synthetic4"] = network_text(net::kSyntheticV4, net::kSyntheticV4Bits);
  if (gateway.has_ipv6) json["synthetic6"] = network_text(net::kSyntheticV6, net::kSyntheticV6Bits);
  json["limits"] = {{"connections", gateway.connections},
                    {"connect_timeout_ms", gateway.connect_timeout.count()},
                    {"rate_bytes_per_s", gateway.rate_bytes_per_s},
                    {"max_bytes", gateway.most_bytes},
                    {"idle_timeout_ms", 0}};
  if (!gateway.injections.empty()) {
    for (const spec::Injection& one : gateway.injections)
      json["inject"].push_back({{"host", one.host}, {"header", one.header}, {"credential", one.credential}, {"tls", false}});
    for (std::size_t i = 0; i < gateway.credentials.size(); ++i)
      json["credentials"][gateway.credentials[i].name] = descriptors.credentials.at(i);
  }
  json["uid"] = kNobody;
  json["gid"] = kNobody;
  // A file name, of which the rules and the rest have none, is the only thing here that might not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace clawrun::network
