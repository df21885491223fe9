#include "network/request.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace clawrun::network {

TEST_CASE("the gateway is told its sockets, the rules one for each protocol, and where the secrets are") {
  plan::Gateway gateway;
  gateway.allow = {*spec::parse_allowed("*.example.com:8000-8100")};
  gateway.deny = {*spec::parse_denied("10.0.0.0/8")};
  gateway.credentials = {*spec::parse_credential("token=env:T")};
  gateway.injections = {*spec::parse_injection("api.example.com:header=X-Key:token")};
  gateway.connections = 7;
  gateway.most_bytes = 9;
  using Role = net::Listener::Role;
  const std::vector<net::Listener> listeners{{Role::kTcp, 0, ""}, {Role::kDnsUdp, 0, ""}, {Role::kTcp, 0, ""}};
  const auto json = nlohmann::json::parse(
      gateway_request("s1", gateway, listeners, {.listeners = {6, 7, 8}, .events = 4, .lifeline = 5, .credentials = {9}}));
  CHECK(json["sandbox"] == "s1");
  CHECK(json["sockets"] == nlohmann::json{{"tcp", {6, 8}}, {"dns_udp", {7}}});
  CHECK(json["events"] == 4);
  CHECK(json["lifeline"] == 5);
  REQUIRE(json["allow"].size() == 1);
  CHECK(json["allow"][0]["host"] == "*.example.com");
  CHECK(json["allow"][0]["ports"][0][1] == 8100);
  CHECK(json["allow"][0]["rule"] == "*.example.com:8000-8100");
  REQUIRE(json["deny"].size() == 2);
  CHECK(json["deny"][1]["protocol"] == "udp");
  CHECK(json["limits"]["connections"] == 7);
  CHECK(json["limits"]["max_bytes"] == 9);
  CHECK(json["inject"][0]["header"] == "X-Key");
  CHECK(json["credentials"]["token"] == 9);
}

}  // namespace clawrun::network
