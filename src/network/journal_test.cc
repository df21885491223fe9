#include "network/journal.h"

#include <doctest/doctest.h>

#include "network/decision.h"

namespace clawrun::network {

namespace {

spec::NetworkDecision denied(std::string host, std::string address, std::uint16_t port, std::string protocol = "tcp") {
  spec::NetworkDecision decision;
  decision.host = std::move(host);
  decision.address = std::move(address);
  decision.port = port;
  decision.protocol = std::move(protocol);
  decision.verdict = "denied";
  decision.reason = "no rule allows this host";
  return decision;
}

}  // namespace

TEST_CASE("the first refusal of a host is said, with the option that would allow it") {
  std::vector<std::string> said;
  Journal journal("s", UniqueFd(), [&](const std::string& line) { said.push_back(line); });
  journal.add(denied("a.example.com", "198.19.0.1", 443));
  journal.add(denied("a.example.com", "198.19.0.1", 22));
  journal.add(denied("", "2001:db8::1", 22));
  journal.add(denied("b.example.com", "", 0, "dns"));
  journal.add(denied("", "192.0.2.1", 123, "udp"));
  journal.add(denied("", "192.0.2.2", 0, "icmp"));
  CHECK(said == std::vector<std::string>{"network: a.example.com:443 was refused: --allow a.example.com would allow it",
                                         "network: [2001:db8::1]:22 was refused: --allow [2001:db8::1]:22 would allow it",
                                         "network: b.example.com was refused: --allow b.example.com would allow it",
                                         "network: 192.0.2.1:123/udp was refused: --allow 192.0.2.1:123/udp would allow it",
                                         "network: 192.0.2.2/icmp was refused: only TCP and UDP can be allowed"});
  const spec::NetworkUse use = journal.take();
  CHECK(use.events.size() == 6);
  CHECK(use.denied.size() == 6);
}

TEST_CASE("a sandbox that is refused all the time fills neither the terminal nor the memory") {
  std::size_t lines = 0;
  Journal journal("s", UniqueFd(), [&](const std::string&) { ++lines; });
  for (int i = 0; i < 5000; ++i) journal.add(denied("", "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1));
  CHECK(lines == 21);
  const spec::NetworkUse use = journal.take();
  CHECK(use.events.size() == 1000);
  CHECK(use.events_lost == 4000);
  CHECK(use.denied.size() == 256);
}

TEST_CASE("words of the gateway that are none are not believed") {
  CHECK(parse_line(R"({"event":"ready","connections":5})")->kind == GatewayLine::Kind::kReady);
  CHECK(parse_line(R"({"event":"error","message":"m"})")->message == "m");
  CHECK(parse_line(R"({"event":"dropped","count":3})")->count == 3);
  const auto line =
      parse_line(R"({"time":"t","host":null,"address":"192.0.2.1","port":443,"protocol":"tcp","verdict":"allowed","rule":"r"})");
  REQUIRE(line);
  CHECK(line->decision.host.empty());
  CHECK(line->decision.port == 443);
  for (const char* bad : {"", "{", "[]", "7", "{}", R"({"event":"x"})"}) CHECK_FALSE(parse_line(bad));
  CHECK(parse_line(R"({"verdict":3,"port":-1,"host":[]})")->decision.verdict.empty());
  CHECK(log_line(line->decision, "s\xff").find('\n') != std::string::npos);
}

}  // namespace clawrun::network
