#include <doctest/doctest.h>

#include <algorithm>

#include "plan/compile.h"
#include "spec/settings.h"

namespace clawrun::plan {

namespace {

Result<Plan> compiled(const std::vector<std::pair<std::string, std::string>>& settings, bool privileged = false) {
  Inputs inputs;
  inputs.host.privileged = privileged;
  inputs.host.kernel = {6, 1};
  inputs.host.has_clone3 = inputs.host.has_openat2 = inputs.host.has_close_range = inputs.host.has_mount_api =
      inputs.host.has_mount_setattr = inputs.host.has_seccomp_filter = true;
  inputs.root.name = "host";
  inputs.loopback_request = "loopback";
  inputs.resolver = "/etc/resolv.conf";
  inputs.network_namespace = "/run/netns/blue";
  spec::SandboxSpec spec;
  spec.command = {"true"};
  for (const auto& [name, value] : settings) REQUIRE(spec::apply_setting(spec, name, value));
  const auto valid = spec::validate(spec);
  REQUIRE(valid);
  return compile(*valid, inputs);
}

bool has_file(const Plan& plan, std::string_view target) {
  return std::ranges::any_of(plan.operations, [&](const Operation& op) { return op.target == target && op.data; });
}

bool has_variable(const Plan& plan, const std::string& variable) {
  return std::ranges::find(plan.environment, variable) != plan.environment.end();
}

}  // namespace

TEST_CASE("without a network there is a loopback interface and nothing else") {
  const auto plan = compiled({});
  REQUIRE(plan);
  REQUIRE(plan->new_network);
  REQUIRE(plan->new_network->requests.size() == 1);
  CHECK(plan->new_network->requests[0].bytes == "loopback");
  CHECK(plan->new_network->listeners.empty());
  CHECK_FALSE(plan->gateway);
  CHECK_FALSE(has_file(*plan, "etc/resolv.conf"));
}

TEST_CASE("with a host that is allowed there are a gateway's sockets, rules and a resolver") {
  const auto plan = compiled({{"allow", "example.com"}, {"allow", "192.0.2.1:123/udp"}, {"deny", "192.0.2.0/24:22"}});
  REQUIRE(plan);
  REQUIRE(plan->gateway);
  CHECK(plan->gateway->connections == spec::kDefaultConnections);
  REQUIRE(plan->new_network->requests.size() == 3);
  // Whoever listens to what the rules refuse does so before there are rules, and that socket alone is sent out.
  CHECK(plan->new_network->requests[1].what == NetlinkRequests::What::kRefusals);
  CHECK(plan->new_network->requests[1].send_out);
  CHECK(std::ranges::count_if(plan->new_network->requests, &NetlinkRequests::send_out) == 1);
  // TCP, names by UDP and TCP, the proxy, and one port of UDP: each for two families.
  CHECK(plan->new_network->listeners.size() == 10);
  CHECK(has_file(*plan, "etc/resolv.conf"));
  CHECK_FALSE(has_variable(*plan, "http_proxy=http://198.18.0.1:3128"));
}

TEST_CASE("proxy variables are set where they are asked for, and the user's own win") {
  const auto plan = compiled({{"network", "allow"}, {"proxy-env", "on"}, {"env", "http_proxy=http://mine"}});
  REQUIRE(plan);
  CHECK(has_variable(*plan, "http_proxy=http://mine"));
  CHECK(has_variable(*plan, "HTTPS_PROXY=http://198.18.0.1:3128"));
  CHECK(has_variable(*plan, "all_proxy=socks5h://198.18.0.1:3128"));
}

TEST_CASE("more rules than one packet of netlink holds are refused in words") {
  std::vector<std::pair<std::string, std::string>> settings;
  for (int i = 0; i < 128; ++i) {
    settings.emplace_back("allow", "2001:db8::" + std::to_string(i));
    settings.emplace_back("deny", "2001:db8:1::" + std::to_string(i));
  }
  const auto plan = compiled(settings);
  REQUIRE_FALSE(plan);
  CHECK(plan.error().message.find("too many rules") != std::string::npos);
}

TEST_CASE("a network namespace that is there is joined by root only") {
  const auto plan = compiled({{"network", "ns:blue"}}, true);
  REQUIRE(plan);
  CHECK_FALSE(plan->new_network);
  CHECK(plan->network_namespace == "/run/netns/blue");
  const auto refused = compiled({{"network", "ns:blue"}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kUnsupported);
}

}  // namespace clawrun::plan
