#include "net/steering.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/message.h"
#include "net/nftables.h"

namespace clawrun::net {

namespace {

std::string hex(std::string_view bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return text;
}

std::size_t rules_in(const std::string& batch) {
  const auto messages = replies_in(batch);
  return static_cast<std::size_t>(std::ranges::count_if(
      messages, [](const Reply& one) { return one.type == (NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_NEWRULE); }));
}

Destination web(std::string_view address, std::uint8_t prefix_length) {
  Destination to = destination_of(address, prefix_length);
  to.protocol = IPPROTO_TCP;
  to.first_port = to.last_port = 443;
  return to;
}

}  // namespace

// As the kernel's nft(8) shows them: tests/network lists the rules of a running sandbox.
TEST_CASE("a batch is these bytes on a little-endian machine") {
  Batch batch("t");
  batch.add_chain("c", 3, -150);
  batch.add_rule("c", Rule().meta_is(NFT_META_MARK, "abcd").accept());
  CHECK(hex(batch.bytes()) ==
        "140000001000010000000000000000000000000a1c000000000a010401000000000000000100000006000100740000004400"
        "0000030a01040200000000000000010000000600010074000000060003006300000014000480080001000000000308000200"
        "ffffff6a0b00070066696c7465720000a8000000060a050c0300000000000000010000000600010074000000060002006300"
        "00008400048024000180090001006d6574610000000014000280080001000000000108000200000000032c00018008000100"
        "636d700020000280080001000000000108000200000000000c0003800800010061626364300001800e000100696d6d656469"
        "6174650000001c0002800800010000000000100002800c000280080001000000000114000000110001000400000000000000"
        "0000000a");
  CHECK(hex(log_listener_requests(1, 64)) ==
        "1c00000001040100000000000000000000000001050001000100000028000000010405000100000000000000000000010a00"
        "020000000040020000000800050000000001");
}

TEST_CASE("the last message of each packet, and no other, asks for an acknowledgement") {
  const std::string rules = rule_requests(Families::kV4AndV6, {web("192.0.2.1", 32)});
  for (const std::string& packet :
       {address_requests(Families::kV4), address_requests(Families::kV4AndV6), log_listener_requests(1, 64), rules}) {
    auto messages = replies_in(packet);
    REQUIRE(messages.size() > 1);
    // What ends a batch is acknowledged by newer kernels only.
    if (messages.back().type == NFNL_MSG_BATCH_END) messages.pop_back();
    const auto asks = [](const Reply& one) { return (one.flags & NLM_F_ACK) != 0; };
    CHECK(std::ranges::count_if(messages, asks) == 1);
    CHECK(asks(messages.back()));
  }
}

TEST_CASE("each destination is one rule, a refused one two; IPv6 is left out where there is none") {
  const std::size_t none = rules_in(rule_requests(Families::kV4AndV6, {}));
  CHECK(rules_in(rule_requests(Families::kV4AndV6, {web("192.0.2.1", 32), web("2001:db8::", 32)})) == none + 2);
  Destination refused = web("192.0.2.0", 24);
  refused.verdict = Destination::Verdict::kRefuse;
  CHECK(rules_in(rule_requests(Families::kV4AndV6, {refused})) == none + 2);
  const std::size_t v4_only = rules_in(rule_requests(Families::kV4, {}));
  CHECK(v4_only < none);
  CHECK(rules_in(rule_requests(Families::kV4, {web("2001:db8::", 32)})) == v4_only);
}

TEST_CASE("the gateway has a socket for each family, and one for each port of UDP") {
  CHECK(listeners(Families::kV4, {}).size() == 4);
  CHECK(listeners(Families::kV4AndV6, {123, 9999}).size() == 12);
  const auto all = listeners(Families::kV4AndV6, {123});
  CHECK(all.back().role == Listener::Role::kUdp);
  const auto address = value_at_start<sockaddr_in6>(all.back().address);
  REQUIRE(address);
  CHECK(address->sin6_port == htons(123));
}

}  // namespace clawrun::net
