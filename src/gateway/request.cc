#include "gateway/request.h"

#include <algorithm>

#include "base/text.h"
#include "gateway/protocol.h"
#include "oci/json_reader.h"

namespace clawrun::gateway {

namespace {

using oci::JsonObject;
using oci::JsonValue;
using oci::read;
using oci::read_list;
using oci::read_member;
using oci::read_required;

constexpr std::size_t kMaxRules = 16384;
constexpr std::size_t kMaxSockets = 256;
constexpr int kMaxFd = 1 << 20;
constexpr std::uint64_t kMaxMs = 86'400'000;
constexpr std::uint64_t kMaxConnections = 65536;
constexpr std::size_t kMaxHeaderName = 256;

Result<> refuse_others(const JsonObject& object, std::initializer_list<std::string_view> known) {
  for (const JsonValue member : object.members())
    if (std::ranges::find(known, member.key()) == known.end()) return member.wrong("no member of that name is known");
  return {};
}

Result<int> parse_fd(const JsonValue& value) {
  int fd = -1;
  TRY(read(value, fd, 0, kMaxFd));
  return fd;
}

Result<PortRange> parse_ports(const JsonValue& value) {
  std::vector<std::uint16_t> ends;
  const oci::JsonList list = TRY(value.list("two ports"));
  for (const JsonValue element : list.elements()) {
    std::uint16_t port = 0;
    TRY(read(element, port, 1));
    ends.push_back(port);
  }
  if (ends.size() != 2 || ends[0] > ends[1]) return value.wrong("a range has its first and its last port");
  return PortRange{ends[0], ends[1]};
}

Result<Rule> parse_rule(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  TRY(refuse_others(object, {"host", "ports", "protocol", "rule"}));
  std::string host;
  std::string protocol = "tcp";
  Rule rule;
  TRY(read_required(object, "host", "a host", host));
  TRY(read_member(object, "protocol", protocol));
  TRY(read_member(object, "rule", rule.text));
  TRY(read_list(object, "ports", "ranges of ports", rule.ports, parse_ports));
  auto parsed = parse_host(host);
  if (!parsed) return object.wrong_member("host", parsed.error().message);
  rule.host = std::move(*parsed);
  if (rule.ports.empty()) return object.wrong_member("ports", "at least one range is needed");
  if (protocol != "tcp" && protocol != "udp") return object.wrong_member("protocol", quoted(protocol) + " is not tcp or udp");
  rule.protocol = protocol == "udp" ? Protocol::kUdp : Protocol::kTcp;
  return rule;
}

Result<Endpoint> parse_resolver(const JsonValue& value) {
  const std::string_view text = TRY(value.text());
  if (const auto endpoint = Endpoint::parse(text); endpoint && endpoint->port != 0) return *endpoint;
  return value.is_not("ADDRESS:PORT");
}

bool is_header_name(std::string_view name) {
  const auto is_token_byte = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kMaxHeaderName && std::ranges::all_of(name, is_token_byte);
}

Result<Injection> parse_injection(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  TRY(refuse_others(object, {"host", "header", "credential", "tls"}));
  Injection injection;
  bool tls = false;
  TRY(read_required(object, "host", "a host name", injection.host_text));
  TRY(read_required(object, "header", "the name of a header", injection.header));
  TRY(read_required(object, "credential", "the name of a credential", injection.credential));
  TRY(read_member(object, "tls", tls));
  auto parsed = parse_host(injection.host_text);
  if (!parsed) return object.wrong_member("host", parsed.error().message);
  injection.host = std::move(*parsed);
  if (std::holds_alternative<Network>(injection.host))
    return object.wrong_member("host", "headers are put in for names, not for addresses");
  if (!is_header_name(injection.header))
    return object.wrong_member("header", quoted(injection.header) + " is no name of a header");
  if (tls) injection.where = Injection::Where::kTls;
  return injection;
}

Result<> parse_network(const JsonObject& object, std::string_view key, std::optional<Network>& target) {
  std::string text;
  TRY(read_member(object, key, text));
  if (text.empty()) return {};
  target = Network::parse(text);
  if (!target) return object.wrong_member(key, quoted(text) + " is not a network");
  return {};
}

Result<> parse_sockets(const JsonObject& object, Sockets& sockets) {
  TRY(refuse_others(object, {"tcp", "udp", "dns_udp", "dns_tcp", "proxy"}));
  TRY(read_list(object, "tcp", "descriptors", sockets.tcp, parse_fd));
  TRY(read_list(object, "udp", "descriptors", sockets.udp, parse_fd));
  TRY(read_list(object, "dns_udp", "descriptors", sockets.dns_udp, parse_fd));
  TRY(read_list(object, "dns_tcp", "descriptors", sockets.dns_tcp, parse_fd));
  TRY(read_list(object, "proxy", "descriptors", sockets.proxy, parse_fd));
  return {};
}

Result<> parse_limits(const JsonObject& object, Limits& limits) {
  TRY(refuse_others(object, {"connections", "connect_timeout_ms", "rate_bytes_per_s", "max_bytes", "idle_timeout_ms"}));
  std::uint64_t connections = limits.connections;
  auto connect_ms = static_cast<std::uint64_t>(limits.connect_timeout.count());
  std::uint64_t idle_ms = 0;
  TRY(read_member(object, "connections", connections, 1U, kMaxConnections));
  TRY(read_member(object, "connect_timeout_ms", connect_ms, 1U, kMaxMs));
  TRY(read_member(object, "rate_bytes_per_s", limits.rate_bytes_per_s));
  TRY(read_member(object, "max_bytes", limits.max_bytes));
  TRY(read_member(object, "idle_timeout_ms", idle_ms, 0U, kMaxMs));
  limits.connections = static_cast<std::size_t>(connections);
  limits.connect_timeout = std::chrono::milliseconds(connect_ms);
  limits.idle_timeout = std::chrono::milliseconds(idle_ms);
  return {};
}

Result<> parse_secrets(const JsonObject& root, Request& request) {
  if (const auto credentials = root.find("credentials")) {
    const JsonObject object = TRY(credentials->object());
    for (const JsonValue member : object.members()) {
      const int fd = TRY(parse_fd(member));
      request.credentials[std::string(member.key())] = fd;
    }
  }
  if (const auto authority = root.find("ca")) {
    const JsonObject object = TRY(authority->object());
    TRY(refuse_others(object, {"cert_fd", "key_fd"}));
    const JsonValue certificate = TRY(object.require("cert_fd", "a descriptor"));
    const JsonValue key = TRY(object.require("key_fd", "a descriptor"));
    request.authority_certificate = TRY(parse_fd(certificate));
    request.authority_key = TRY(parse_fd(key));
  }
  return {};
}

Result<> check(const Request& request) {
  const auto wrong = [](const std::string& what) { return fail(ErrorKind::kInvalid, what); };
  if (request.allow.size() + request.deny.size() > kMaxRules) return wrong("more than " + std::to_string(kMaxRules) + " rules");
  for (const Injection& injection : request.inject) {
    if (!request.credentials.contains(injection.credential))
      return wrong("inject: there is no credential " + quoted(injection.credential));
    if (injection.where == Injection::Where::kTls && !request.authority_key) return wrong("inject: tls needs a ca");
  }
  std::vector<int> fds = request.descriptors();
  if (fds.size() > kMaxSockets) return wrong("more than " + std::to_string(kMaxSockets) + " descriptors");
  std::ranges::sort(fds);
  if (std::ranges::adjacent_find(fds) != fds.end()) return wrong("a descriptor is named twice");
  if (!fds.empty() && fds.front() <= kRequestFd) return wrong("descriptors from 0 to 3 are taken");
  return {};
}

}  // namespace

std::vector<int> Request::descriptors() const {
  std::vector<int> all{events, lifeline};
  for (const auto* list : {&sockets.tcp, &sockets.udp, &sockets.dns_udp, &sockets.dns_tcp, &sockets.proxy})
    all.insert(all.end(), list->begin(), list->end());
  for (const auto& [name, fd] : credentials) all.push_back(fd);
  if (authority_certificate) all.push_back(*authority_certificate);
  if (authority_key) all.push_back(*authority_key);
  return all;
}

Result<Request> parse_request(std::string_view json) {
  const auto document = TRY(oci::JsonDocument::parse(json, kMaxRequestBytes));
  const JsonObject root = TRY(document.root().object());
  TRY(refuse_others(root, {"sandbox", "sockets", "events", "lifeline", "allow", "deny", "synthetic4", "synthetic6", "resolvers",
                           "limits", "inject", "credentials", "ca", "trust_file", "uid", "gid"}));
  Request request;
  TRY(read_required(root, "sandbox", "the sandbox's name", request.sandbox));
  TRY(read_required(root, "events", "a descriptor", request.events, 0, kMaxFd));
  TRY(read_required(root, "lifeline", "a descriptor", request.lifeline, 0, kMaxFd));
  const JsonValue sockets_value = TRY(root.require("sockets", "an object of lists of descriptors"));
  const JsonObject sockets = TRY(sockets_value.object());
  TRY(parse_sockets(sockets, request.sockets));
  TRY(read_list(root, "allow", "rules", request.allow, parse_rule));
  TRY(read_list(root, "deny", "rules", request.deny, parse_rule));
  TRY(parse_network(root, "synthetic4", request.synthetic4));
  TRY(parse_network(root, "synthetic6", request.synthetic6));
  TRY(read_list(root, "resolvers", "resolvers", request.resolvers, parse_resolver));
  TRY(read_list(root, "inject", "injections", request.inject, parse_injection));
  if (const auto limits = root.find("limits")) {
    const JsonObject object = TRY(limits->object());
    TRY(parse_limits(object, request.limits));
  }
  TRY(parse_secrets(root, request));
  TRY(read_member(root, "trust_file", request.trust_file));
  TRY(read_member(root, "uid", request.uid, 1U, UINT32_MAX - 1));
  TRY(read_member(root, "gid", request.gid, 1U, UINT32_MAX - 1));
  TRY(check(request));
  return request;
}

}  // namespace clawrun::gateway
