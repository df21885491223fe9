#include "spec/network.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"

namespace clawrun::spec {

namespace {

using Protocol = HostRule::Protocol;

Failure malformed(std::string_view text, const std::string& why) {
  return fail(ErrorKind::kInvalid,
              quoted(text) + " is not HOST[:PORT[-PORT]][/tcp|udp]: " + why +
                  " (HOST is a name, *.NAME, an address, or a network such as 10.0.0.0/8; an IPv6 address before a port is "
                  "written in brackets)");
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// RFC 1035, 2.3.4, and the underscore that service names have. The last label of a name is no number, which tells it apart from
// a mistyped address.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto labels = split(name, '.');
  const auto is_label = [](std::string_view label) {
    const auto is_allowed = [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; };
    return !label.empty() && label.size() <= 63 && std::ranges::all_of(label, is_allowed) && !label.starts_with('-') &&
           !label.ends_with('-');
  };
  return std::ranges::all_of(labels, is_label) && !parse_unsigned(labels.back());
}

bool has_bits_beyond(const AddressRange& range) {
  const std::size_t size = range.family == AF_INET ? 4 : 16;
  for (std::size_t bit = range.prefix_length; bit < size * 8; ++bit)
    if ((range.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) return true;
  return false;
}

std::optional<AddressRange> parse_address(std::string_view text) {
  AddressRange range;
  const std::string address(text);
  range.family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
  if (::inet_pton(range.family, address.c_str(), range.bytes.data()) != 1) return std::nullopt;
  range.prefix_length = range.family == AF_INET ? 32 : 128;
  return range;
}

bool is_own_loopback(const AddressRange& range) {
  if (range.family == AF_INET) return range.bytes[0] == 127 && range.prefix_length >= 8;
  const bool is_one =
      range.bytes[15] == 1 && std::all_of(range.bytes.begin(), range.bytes.end() - 1, [](auto b) { return b == 0; });
  return is_one && range.prefix_length == 128;
}

// ::ffff:192.0.2.1 is routed as IPv4, so that a rule for it would match nothing.
bool is_mapped(const AddressRange& range) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return range.family == AF_INET6 && range.prefix_length >= 96 && std::equal(kMapped.begin(), kMapped.end(), range.bytes.begin());
}

Result<> take_ports(std::string_view text, std::string_view words, HostRule& rule) {
  const auto ends = split(words, '-');
  const auto first = parse_unsigned(ends[0], UINT16_MAX);
  const auto last = parse_unsigned(ends.back(), UINT16_MAX);
  if (ends.size() > 2 || !first || !last || *first == 0 || *first > *last)
    return malformed(text, quoted(words) + " is not a port from 1 to 65535 or a range of ports");
  rule.ports = {{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)}};
  return {};
}

// Letters after the last slash are a protocol; what begins with a digit is a prefix length.
Result<std::string_view> take_protocol(std::string_view text, HostRule& rule) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return text;
  const std::string_view word = text.substr(slash + 1);
  if (word.empty() || (word[0] >= '0' && word[0] <= '9')) return text;
  if (word != "tcp" && word != "udp") return malformed(text, quoted(word) + " is neither tcp nor udp");
  rule.protocols = {word == "tcp" ? Protocol::kTcp : Protocol::kUdp};
  return text.substr(0, slash);
}

struct HostAndPort {
  std::string_view host;
  std::optional<std::string_view> port;
};

Result<HostAndPort> cut_port(std::string_view text, std::string_view rest) {
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return malformed(text, "a bracket is not closed");
    HostAndPort parts{rest.substr(1, end - 1), std::nullopt};
    if (parts.host.find(':') == std::string_view::npos) return malformed(text, "brackets are for IPv6 addresses");
    rest.remove_prefix(end + 1);
    if (rest.starts_with(':')) parts.port = rest.substr(1);
    if (!rest.empty() && !parts.port) return malformed(text, quoted(rest) + " follows the bracket");
    return parts;
  }
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos || rest.find(':', colon + 1) != std::string_view::npos)
    return HostAndPort{rest, std::nullopt};
  return HostAndPort{rest.substr(0, colon), rest.substr(colon + 1)};
}

Result<> take_range(std::string_view text, std::string_view address, std::string_view length, HostRule& rule) {
  rule.range = parse_address(address);
  if (!rule.range) return malformed(text, quoted(address) + " is not an address");
  if (!length.empty()) {
    const auto bits = parse_unsigned(length, rule.range->prefix_length);
    if (!bits) return malformed(text, quoted(length) + " is not a prefix length");
    rule.range->prefix_length = static_cast<std::uint8_t>(*bits);
  }
  if (has_bits_beyond(*rule.range)) return malformed(text, "the address has bits beyond its prefix length");
  if (is_mapped(*rule.range)) return malformed(text, "an IPv4 address is written as one, without ::ffff:");
  if (is_own_loopback(*rule.range))
    return malformed(text,
                     "that is the sandbox's own loopback; the host's is reached by the name " + std::string(kHostLoopbackName));
  return {};
}

Result<> take_host(std::string_view text, std::string_view host, HostRule& rule) {
  const std::size_t slash = host.find('/');
  rule.host = host;
  if (slash != std::string_view::npos) {
    if (slash + 1 == host.size()) return malformed(text, "there is no prefix length after the slash");
    return take_range(text, host.substr(0, slash), host.substr(slash + 1), rule);
  }
  if (parse_address(host)) return take_range(text, host, "", rule);
  std::ranges::transform(rule.host, rule.host.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (rule.host.ends_with('.')) rule.host.pop_back();
  const std::string_view name = std::string_view(rule.host).substr(rule.host.starts_with("*.") ? 2 : 0);
  if (!is_name(name)) return malformed(text, quoted(host) + " is no name and no address");
  if (name == "localhost")
    return malformed(text,
                     "that is the sandbox's own loopback; the host's is reached by the name " + std::string(kHostLoopbackName));
  return {};
}

Result<HostRule> parse(std::string_view text) {
  HostRule rule;
  rule.text = text;
  const std::string_view rest = TRY(take_protocol(text, rule));
  // A network with a port: the prefix length stands before the colon.
  const HostAndPort parts = TRY(cut_port(text, rest));
  TRY(take_host(text, parts.host, rule));
  if (parts.port) TRY(take_ports(text, *parts.port, rule));
  return rule;
}

}  // namespace

Result<HostRule> parse_allowed(std::string_view text) {
  HostRule rule = TRY(parse(text));
  if (rule.protocols.empty()) rule.protocols = {Protocol::kTcp};
  if (rule.ports.empty() && rule.protocols[0] == Protocol::kUdp)
    return malformed(text, "a rule for UDP names its port: 443 and 80 are meant for TCP");
  if (rule.ports.empty()) rule.ports = {{443, 443}, {80, 80}};
  return rule;
}

Result<HostRule> parse_denied(std::string_view text) {
  HostRule rule = TRY(parse(text));
  if (rule.protocols.empty()) rule.protocols = {Protocol::kTcp, Protocol::kUdp};
  if (rule.ports.empty()) rule.ports = {{1, UINT16_MAX}};
  return rule;
}

Result<Credential> parse_credential(std::string_view text) {
  const auto failure = [&](const std::string& why) {
    return fail(ErrorKind::kInvalid, quoted(text.substr(0, text.find('='))) + " is not NAME=env:VAR or NAME=file:PATH: " + why);
  };
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const auto is_allowed = [](char c) { return is_letter_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; };
  if (name.empty() || name.size() > 64 || !std::ranges::all_of(name, is_allowed))
    return failure("a name is of letters, digits, - and _, at most 64");
  const std::string_view rest = equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
  constexpr std::string_view kKinds[] = {"env:", "file:"};
  for (std::size_t i = 0; i < 2; ++i)
    if (rest.starts_with(kKinds[i]) && rest.size() > kKinds[i].size())
      return Credential{std::string(name), static_cast<Credential::Source>(i), std::string(rest.substr(kKinds[i].size()))};
  // Whoever wrote the secret itself here must not find it in a message.
  return failure("what follows the = names a variable or a file, and is never the secret itself");
}

Result<Injection> parse_injection(std::string_view text) {
  // HOST:header=NAME:CREDENTIAL
  constexpr std::string_view kWord = ":header=";
  const auto failure = [&](const std::string& why) {
    return fail(ErrorKind::kInvalid, quoted(text) + " is not HOST:header=NAME:CREDENTIAL: " + why);
  };
  const std::size_t word = text.find(kWord);
  if (word == std::string_view::npos) return failure("such as api.example.com:header=Authorization:token");
  const std::string_view pair = text.substr(word + kWord.size());
  const std::size_t colon = pair.find(':');
  if (colon == std::string_view::npos || colon + 1 == pair.size())
    return failure("there is no credential after the header's name");
  Injection injection{std::string(text.substr(0, word)), std::string(pair.substr(0, colon)), std::string(pair.substr(colon + 1))};
  const auto is_token = [](char c) {
    return is_letter_or_digit(c) || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  if (injection.header.empty() || !std::ranges::all_of(injection.header, is_token))
    return failure("the header has no valid name");
  HostRule rule;
  TRY(take_host(text, injection.host, rule));
  if (rule.range || rule.host.starts_with('*')) return failure("the host is one name");
  injection.host = rule.host;
  return injection;
}

}  // namespace clawrun::spec
