#include "spec/network.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "spec/settings.h"
#include "spec/validate.h"

namespace clawrun::spec {

namespace {

using Protocol = HostRule::Protocol;

std::string ports_of(const HostRule& rule) {
  std::string text;
  for (const PortRange& range : rule.ports)
    text += (text.empty() ? "" : ",") + std::to_string(range.first) + "-" + std::to_string(range.last);
  return text;
}

std::vector<Problem> problems_with(const std::vector<std::pair<std::string, std::string>>& settings) {
  SandboxSpec spec;
  spec.command = {"true"};
  for (const auto& [name, value] : settings) REQUIRE(apply_setting(spec, name, value));
  const auto valid = validate(spec);
  return valid ? std::vector<Problem>() : valid.error();
}

}  // namespace

TEST_CASE("a rule is a host, ports and a protocol, with defaults for what is left out") {
  const struct {
    const char* text;
    const char* host;
    const char* ports;
    Protocol protocol;
    int prefix;  // -1: a name
  } rows[] = {
      {"api.example.com", "api.example.com", "443-443,80-80", Protocol::kTcp, -1},
      {"API.Example.COM.", "api.example.com", "443-443,80-80", Protocol::kTcp, -1},
      {"*.example.com:8443", "*.example.com", "8443-8443", Protocol::kTcp, -1},
      {"example.com:1000-2000/tcp", "example.com", "1000-2000", Protocol::kTcp, -1},
      {"example.com:123/udp", "example.com", "123-123", Protocol::kUdp, -1},
      {"192.0.2.1", "192.0.2.1", "443-443,80-80", Protocol::kTcp, 32},
      {"192.0.2.0/24:22", "192.0.2.0/24", "22-22", Protocol::kTcp, 24},
      {"0.0.0.0/0:1-65535/udp", "0.0.0.0/0", "1-65535", Protocol::kUdp, 0},
      {"2001:db8::1", "2001:db8::1", "443-443,80-80", Protocol::kTcp, 128},
      {"2001:db8::/32", "2001:db8::/32", "443-443,80-80", Protocol::kTcp, 32},
      {"[2001:db8::1]:22", "2001:db8::1", "22-22", Protocol::kTcp, 128},
      {"[2001:db8::/32]:22/tcp", "2001:db8::/32", "22-22", Protocol::kTcp, 32},
      {"host.clawrun.internal:5432", "host.clawrun.internal", "5432-5432", Protocol::kTcp, -1},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto rule = parse_allowed(row.text);
    REQUIRE(rule);
    CHECK(rule->host == row.host);
    CHECK(ports_of(*rule) == row.ports);
    CHECK(rule->protocols == std::vector{row.protocol});
    CHECK((rule->range ? rule->range->prefix_length : -1) == row.prefix);
    CHECK(rule->text == row.text);
  }
}

TEST_CASE("what is denied is denied on every port and in both protocols, unless it says less") {
  const auto all = parse_denied("bad.example.com");
  REQUIRE(all);
  CHECK(ports_of(*all) == "1-65535");
  CHECK(all->protocols.size() == 2);
  const auto one = parse_denied("10.0.0.0/8:22/tcp");
  REQUIRE(one);
  CHECK(ports_of(*one) == "22-22");
  CHECK(one->protocols == std::vector{Protocol::kTcp});
}

TEST_CASE("what is no rule is refused, in words that help") {
  const struct {
    const char* text;
    const char* word;
  } rows[] = {
      {"", "no name"},
      {"*", "no name"},
      {"*.", "no name"},
      {"a..b", "no name"},
      {"ex*mple.com", "no name"},
      {"http://example.com", "not"},
      {"example.com:", "not a port"},
      {"example.com:0", "not a port"},
      {"example.com:65536", "not a port"},
      {"example.com:90-80", "not a port"},
      {"example.com:80-90-100", "not a port"},
      {"example.com:+80", "not a port"},
      {"example.com/sctp", "neither tcp nor udp"},
      {"example.com:53/udp ", "neither tcp nor udp"},
      {"example.com/udp", "names its port"},
      {"300.1.1.1", "no name"},
      {"1.2.3", "no name"},
      {"10.0.0.1/8", "beyond its prefix"},
      {"10.0.0.0/33", "not a prefix length"},
      {"10.0.0.0/", "no prefix length"},
      {"[2001:db8::1", "not closed"},
      {"[example.com]:80", "brackets"},
      {"[2001:db8::1]x", "follows the bracket"},
      {"::ffff:192.0.2.1", "without ::ffff:"},
      {"127.0.0.1:80", "host.clawrun.internal"},
      {"127.0.0.0/8", "host.clawrun.internal"},
      {"[::1]:80", "host.clawrun.internal"},
      {"localhost:80", "host.clawrun.internal"},
      {"ex\tample.com", "no name"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto rule = parse_allowed(row.text);
    REQUIRE_FALSE(rule);
    CHECK(rule.error().message.find(row.word) != std::string::npos);
    CHECK(rule.error().message.find('\t') == std::string::npos);
  }
  CHECK_FALSE(parse_allowed(std::string(254, 'a')));
  CHECK_FALSE(parse_allowed(std::string(64, 'a') + ".com"));
}

TEST_CASE("a secret that was written where its source belongs is not repeated") {
  const auto credential = parse_credential("token=sk-secret");
  REQUIRE_FALSE(credential);
  CHECK(credential.error().message.find("sk-secret") == std::string::npos);
  const auto good = parse_credential("token=env:API_TOKEN");
  REQUIRE(good);
  CHECK(good->source == Credential::Source::kEnvironment);
  CHECK(good->where == "API_TOKEN");
  CHECK_FALSE(parse_credential("token=env:"));
  CHECK_FALSE(parse_credential("=env:A"));
}

TEST_CASE("a header for a host names its credential") {
  const auto injection = parse_injection("API.example.com:header=Authorization:token");
  REQUIRE(injection);
  CHECK(injection->host == "api.example.com");
  CHECK(injection->header == "Authorization");
  CHECK(injection->credential == "token");
  for (const char* bad :
       {"api.example.com", "a.b:header=X", "a.b:header=X:", "a.b:header=X Y:t", "*.b.c:header=X:t", "192.0.2.1:header=X:t"})
    CHECK_FALSE(parse_injection(bad));
}

TEST_CASE("naming a host is asking for it, and contradicts every other mode") {
  CHECK(problems_with({{"allow", "example.com"}}).empty());
  CHECK(problems_with({{"network", "allow"}}).empty());
  for (const char* mode : {"none", "host", "ns:/run/netns/x"}) {
    const auto problems = problems_with({{"network", mode}, {"allow", "example.com"}, {"net-rate", "1m"}});
    REQUIRE(problems.size() == 2);
    CHECK(problems[0].setting == "allow");
    CHECK(problems[1].setting == "net-rate");
  }
  CHECK(problems_with({{"proxy-env", "on"}}).size() == 1);
  CHECK(problems_with({{"allow", "example.com"}, {"seccomp", "strict"}}).size() == 1);
  CHECK(problems_with({{"allow", "192.0.2.1:50-60/udp"}}).size() == 1);
  CHECK(problems_with({{"allow", "192.0.2.1:1000-1064/udp"}}).size() == 1);
  CHECK(problems_with({{"allow", "192.0.2.1:1000-1063/udp"}}).empty());
  CHECK(problems_with({{"allow", "a.b"}, {"inject", "a.b:header=X:t"}}).size() == 1);
  CHECK(problems_with({{"allow", "a.b"}, {"credential", "t=env:T"}}).size() == 1);
  CHECK(problems_with({{"allow", "a.b"}, {"credential", "t=env:T"}, {"inject", "a.b:header=X:t"}}).empty());
}

}  // namespace clawrun::spec
