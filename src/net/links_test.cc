#include "net/links.h"

#include <doctest/doctest.h>
#include <linux/if_addr.h>
#include <sys/socket.h>

namespace clawrun::net {
namespace {

TEST_CASE("links: every network namespace has lo, and what it has not is no error") {
  auto socket = RouteSocket::open();
  REQUIRE(socket);
  const auto loopback = find_link(*socket, "lo");
  REQUIRE(loopback);
  REQUIRE(*loopback);
  CHECK((*loopback)->index == 1);
  const auto missing = find_link(*socket, "none:of:them");
  REQUIRE(missing);
  CHECK_FALSE(*missing);
  // 127.0.0.1 and ::1 are of scope "host": they mean another host in each namespace.
  const auto addresses = permanent_addresses(*socket, 1);
  REQUIRE(addresses);
  for (const Address& address : *addresses) {
    CHECK(address_text(address) != "127.0.0.1/8");
    CHECK(address_text(address) != "::1/128");
  }
}

TEST_CASE("links: labels follow the name, and an address is shown as people write it") {
  CHECK(renamed_label("eth0", "eth0", "c0") == "c0");
  CHECK(renamed_label("eth0:web", "eth0", "c0") == "c0:web");
  CHECK(renamed_label("eth01", "eth0", "c0") == "eth01");
  CHECK(renamed_label("other", "eth0", "c0") == "other");
  CHECK(renamed_label("e:longlabel", "e", "fifteen_letters") == "");
  CHECK(renamed_label("", "eth0", "c0") == "");
  const Address four{AF_INET, 24, 0, {{IFA_ADDRESS, "\x0a\x01\x02\x04"}, {IFA_LOCAL, "\x0a\x01\x02\x03"}}, ""};
  CHECK(address_text(four) == "10.1.2.3/24");
  const Address six{AF_INET6, 64, 0, {{IFA_ADDRESS, std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01"}}, ""};
  CHECK(address_text(six) == "2001:db8::1/64");
  CHECK(address_text({AF_INET6, 64, 0, {{IFA_ADDRESS, "abcd"}}, ""}) == "?/64");
}

}  // namespace
}  // namespace clawrun::net
