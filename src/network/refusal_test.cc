#include "network/refusal.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>

#include "net/message.h"

namespace clawrun::network {

namespace {

std::string message(std::string_view packet, const char* prefix) {
  net::Request request(NFNL_SUBSYS_ULOG << 8U | NFULNL_MSG_PACKET, 0, nfgenmsg{});
  request.add_text(NFULA_PREFIX, prefix);
  request.add(NFULA_PAYLOAD, packet);
  return request.bytes(1);
}

std::string ipv4(std::uint8_t protocol, std::string_view transport, char first = '\x45') {
  std::string packet(20, '\0');
  packet[0] = first;
  packet[9] = static_cast<char>(protocol);
  packet.replace(16, 4, std::string("\xcb\x00\x71\x0a", 4));
  return packet + std::string(transport);
}

const std::string kPorts("\x80\x00\x01\xbb", 4);

}  // namespace

TEST_CASE("a refused packet becomes a decision") {
  const auto tcp = refusals_in(message(ipv4(IPPROTO_TCP, kPorts), "no rule"));
  REQUIRE(tcp.size() == 1);
  CHECK(tcp[0].address == "203.0.113.10");
  CHECK(tcp[0].port == 443);
  CHECK(tcp[0].protocol == "tcp");
  CHECK(tcp[0].verdict == "denied");
  CHECK(tcp[0].reason == "no rule allows this address");
  const auto icmp = refusals_in(message(ipv4(IPPROTO_ICMP, kPorts), "denied"));
  REQUIRE(icmp.size() == 1);
  CHECK(icmp[0].protocol == "icmp");
  CHECK(icmp[0].port == 0);
  CHECK(icmp[0].reason == "a rule denies this address");
  std::string v6(40, '\0');
  v6[0] = '\x60';
  v6[6] = IPPROTO_UDP;
  v6.replace(24, 4, std::string("\x20\x01\x0d\xb8", 4));
  v6[39] = '\x05';
  const auto udp = refusals_in(message(v6 + kPorts, "no rule") + message(v6 + kPorts, "no rule"));
  REQUIRE(udp.size() == 2);
  CHECK(udp[1].address == "2001:db8::5");
  CHECK(udp[1].port == 443);
  CHECK(udp[1].protocol == "udp");
}

TEST_CASE("what a sandbox has cut off or made up is read within its bounds") {
  CHECK(refusals_in("").empty());
  CHECK(refusals_in(message("", "no rule")).empty());
  CHECK(refusals_in(message("\x45", "no rule")).empty());
  CHECK(refusals_in(message(ipv4(IPPROTO_TCP, kPorts, '\x4f'), "no rule")).empty());
  CHECK(refusals_in(message(ipv4(IPPROTO_TCP, kPorts, '\x44'), "no rule")).empty());
  CHECK(refusals_in(message(ipv4(IPPROTO_TCP, kPorts, '\x75'), "no rule")).empty());
  const auto short_one = refusals_in(message(ipv4(IPPROTO_TCP, "\x80"), "no rule"));
  REQUIRE(short_one.size() == 1);
  CHECK(short_one[0].port == 0);
  const std::string whole = message(ipv4(IPPROTO_TCP, kPorts), "no rule");
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK(refusals_in(whole.substr(0, size)).empty());
}

}  // namespace clawrun::network
