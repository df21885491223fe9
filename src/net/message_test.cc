#include "net/message.h"

#include <doctest/doctest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "net/netlink.h"

namespace clawrun::net {
namespace {

ifinfomsg loopback_up() {
  ifinfomsg info{};
  info.ifi_index = 1;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  return info;
}

TEST_CASE("netlink: a request has the bytes that libnl gives it") {
  const Request request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, loopback_up());
  const std::string_view expected = loopback_up_request();
  const std::string bytes = request.bytes(0);
  CHECK(bytes.size() == expected.size());
  CHECK(bytes == expected);
}

TEST_CASE("netlink: attributes are padded, and their lengths say that they are not") {
  Request request(RTM_NEWLINK, NLM_F_REQUEST, loopback_up());
  request.add_text(IFLA_IFNAME, "eth0");
  request.add_number(IFLA_MTU, 1400);
  const std::string bytes = request.bytes(9);
  CHECK(bytes.size() == sizeof(nlmsghdr) + sizeof(ifinfomsg) + 12 + 8);
  const auto replies = replies_in(bytes);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].type == RTM_NEWLINK);
  CHECK(replies[0].sequence == 9);
  const auto attributes = attributes_in(replies[0].payload, sizeof(ifinfomsg));
  REQUIRE(attributes.size() == 2);
  CHECK(attributes[0].bytes == std::string_view("eth0\0", 5));
  CHECK(text_of(attributes[0].bytes) == "eth0");
  CHECK(value_at_start<std::uint32_t>(find_attribute(attributes, IFLA_MTU).value()) == 1400);
  CHECK_FALSE(find_attribute(attributes, IFLA_ADDRESS));
}

TEST_CASE("netlink: what is cut off or has an impossible length is not read") {
  Request request(RTM_NEWLINK, NLM_F_REQUEST, loopback_up());
  request.add_text(IFLA_IFNAME, "eth0");
  const std::string good = request.bytes(1);
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(replies_in(good.substr(0, size)).empty());
  CHECK(replies_in(good + good).size() == 2);
  CHECK(replies_in(good + good.substr(0, 20)).size() == 1);
  const std::string_view payload = std::string_view(good).substr(sizeof(nlmsghdr));
  for (std::size_t size = 0; size < sizeof(ifinfomsg) + 9; ++size)
    CHECK(attributes_in(payload.substr(0, size), sizeof(ifinfomsg)).empty());
  for (const int length : {0, 3, 10, 65535}) {
    const std::string attribute = bytes_of(nlattr{static_cast<std::uint16_t>(length), IFLA_IFNAME}) + "eth0";
    CHECK(attributes_in(attribute, 0).empty());
  }
  for (const std::uint32_t length : {0U, 15U, 17U, 0xffffffffU})
    CHECK(replies_in(bytes_of(nlmsghdr{length, 0, 0, 0, 0})).empty());
  CHECK(text_of("no end") == "no end");
}

}  // namespace
}  // namespace clawrun::net
