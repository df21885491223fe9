#include "gateway/rules.h"

#include <doctest/doctest.h>

using namespace clawrun;
using namespace clawrun::gateway;

namespace {

Rule rule(const char* host, std::uint16_t first = 443, std::uint16_t last = 443, Protocol protocol = Protocol::kTcp) {
  return {parse_host(host).value(), {{first, last}}, protocol, host};
}

Endpoint at(const char* address, std::uint16_t port = 443) {
  return {Address::parse(address).value(), port};
}

bool resolves_to(const Policy& policy, const char* address) {
  const Decision by_name = policy.decide_name("a.example.com", 443, Protocol::kTcp);
  REQUIRE(by_name.allowed());
  return policy.decide_resolved(by_name, at(address), Protocol::kTcp).allowed();
}

}  // namespace

TEST_CASE("names are compared in one form, and what is no name is none") {
  CHECK(canonical_name("API.Example.COM.") == "api.example.com");
  for (const char* bad : {"", ".", "a..b", ".a", "a b", "a\nb", "a/b", "é", "a@b", "*.a"}) CHECK_FALSE(canonical_name(bad));
  CHECK_FALSE(canonical_name(std::string(64, 'a')));
  CHECK_FALSE(canonical_name(std::string(300, 'a')));
}

TEST_CASE("a rule's host is a name, names below one, an address or a network without stray bits") {
  for (const char* good : {"example.com", "*.example.com", "192.0.2.1", "10.0.0.0/8", "fd00::/8", "::1"}) CHECK(parse_host(good));
  for (const char* bad : {"", "*", "*example.com", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "fd00::/129", "a*.b", "http://a"})
    CHECK_FALSE(parse_host(bad));
}

TEST_CASE("a name is allowed by host, port and protocol together") {
  const Policy policy({rule("example.com"), rule("*.example.org", 1000, 2000)}, {});
  CHECK(policy.decide_name("example.com", 443, Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_name("example.com", 80, Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_name("example.com", 443, Protocol::kUdp).allowed());
  CHECK_FALSE(policy.decide_name("a.example.com", 443, Protocol::kTcp).allowed());
  CHECK(policy.decide_name("a.b.example.org", 2000, Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_name("example.org", 1000, Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_name("badexample.org", 1000, Protocol::kTcp).allowed());
  CHECK(policy.find_name("a.example.org") != nullptr);
  CHECK(policy.find_name("example.org") == nullptr);
}

TEST_CASE("deny wins, for names and for where they lead") {
  const Policy policy({rule("*.example.com"), rule("203.0.113.0/24")},
                      {rule("bad.example.com"), rule("203.0.113.9"), rule("198.51.100.0/24")});
  CHECK_FALSE(policy.decide_name("bad.example.com", 443, Protocol::kTcp).allowed());
  CHECK(policy.find_name("bad.example.com") == nullptr);
  CHECK(policy.find_name("good.example.com") != nullptr);
  CHECK(policy.decide_literal(at("203.0.113.8"), Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_literal(at("203.0.113.9"), Protocol::kTcp).allowed());
  CHECK_FALSE(resolves_to(policy, "198.51.100.7"));
}

TEST_CASE("a name does not lead to an address that is not of the internet") {
  const Policy policy({rule("*.example.com")}, {});
  CHECK(resolves_to(policy, "203.0.113.1"));
  CHECK(resolves_to(policy, "2600::1"));
  for (const char* special : {"127.0.0.1",
                              "0.0.0.0",
                              "10.1.2.3",
                              "172.31.0.1",
                              "192.168.1.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "198.18.0.1",
                              "::",
                              "::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "::ffff:169.254.169.254",
                              "::7f00:1",
                              "fe80::1",
                              "fec0::1",
                              "fd00:ec2::254",
                              "fc00::1",
                              "ff02::1",
                              "64:ff9b::a9fe:a9fe",
                              "64:ff9b::7f00:1",
                              "64:ff9b:1::1",
                              "2002:7f00:1::",
                              "2001::1"})
    CHECK_MESSAGE(!resolves_to(policy, special), std::string(special));
  CHECK(resolves_to(policy, "64:ff9b::cb00:7101"));
}

TEST_CASE("a special range is opened by a rule within it, and the host's own addresses by none") {
  const Policy policy({rule("*.example.com"), rule("0.0.0.0/0"), rule("::/0"), rule("10.1.0.0/16"), rule("169.254.0.0/16"),
                       rule("127.0.0.1"), rule("::1"), rule("::ffff:127.0.0.0/104")},
                      {});
  CHECK(policy.decide_literal(at("203.0.113.1"), Protocol::kTcp).allowed());
  CHECK(policy.decide_literal(at("2600::1"), Protocol::kTcp).allowed());
  CHECK(policy.decide_literal(at("10.1.2.3"), Protocol::kTcp).allowed());
  CHECK(resolves_to(policy, "10.1.2.3"));
  CHECK_FALSE(policy.decide_literal(at("10.2.0.1"), Protocol::kTcp).allowed());
  CHECK(policy.decide_literal(at("169.254.1.1"), Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_literal(at("169.254.169.254"), Protocol::kTcp).allowed());
  CHECK_FALSE(policy.decide_literal(at("::ffff:169.254.169.254"), Protocol::kTcp).allowed());
  for (const char* own : {"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"})
    CHECK_MESSAGE(!policy.decide_literal(at(own), Protocol::kTcp).allowed(), std::string(own));
}

TEST_CASE("the host's loopback has one name, which no wildcard means") {
  const Policy wide({rule("*.internal"), rule("*.clawrun.internal")}, {});
  CHECK(wide.find_name("host.clawrun.internal") == nullptr);
  CHECK(wide.find_name("other.clawrun.internal") != nullptr);
  const Policy named({rule("host.clawrun.internal", 8080, 8080)}, {});
  CHECK(named.decide_name("host.clawrun.internal", 8080, Protocol::kTcp).allowed());
  CHECK_FALSE(named.decide_name("host.clawrun.internal", 22, Protocol::kTcp).allowed());
}
