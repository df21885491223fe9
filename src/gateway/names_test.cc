#include "gateway/names.h"

#include <doctest/doctest.h>

#include "gateway/events.h"

using namespace clawrun;
using namespace clawrun::gateway;

TEST_CASE("a name keeps its addresses, and an address means one name") {
  NamePool pool(Network::parse("198.18.0.0/16"), Network::parse("fd63:6c61:7772:1::/64"), 100);
  const auto a = pool.addresses_of("a.example.com");
  const auto b = pool.addresses_of("b.example.com");
  CHECK(a.age == NamePool::Addresses::Age::kNew);
  CHECK(a.v4->text() == "198.18.0.1");
  CHECK(b.v6->text() == "fd63:6c61:7772:1::2");
  CHECK(pool.addresses_of("a.example.com").v4 == a.v4);
  CHECK(pool.name_of(*a.v4) == "a.example.com");
  CHECK(pool.name_of(*a.v6) == "a.example.com");
  CHECK(pool.name_of(*Address::parse("198.18.0.3")) == "");
  CHECK(pool.name_of(*Address::parse("fd63:6c61:7772:1:1::2")) == "");
  CHECK(pool.name_of(*Address::parse("203.0.113.1")) == "");
  CHECK(pool.is_synthetic(*Address::parse("198.18.255.3")));
}

TEST_CASE("of more names than there is room for the least recently used gives way, and a pinned one never") {
  NamePool pool(Network::parse("198.18.0.0/16"), std::nullopt, 3);
  pool.pin("pinned");
  const Address pinned = *pool.addresses_of("pinned").v4;
  const Address old = *pool.addresses_of("old").v4;
  const Address used = *pool.addresses_of("used").v4;
  CHECK(pool.name_of(used) == "used");
  CHECK(pool.name_of(old) == "old");
  CHECK(pool.name_of(used) == "used");
  CHECK(*pool.addresses_of("new").v4 == old);
  CHECK(pool.name_of(old) == "new");
  for (int i = 0; i < 1000; ++i) pool.addresses_of("n" + std::to_string(i));
  CHECK(pool.name_of(pinned) == "pinned");
  CHECK(*pool.addresses_of("pinned").v4 == pinned);
}

TEST_CASE("an event is one line of JSON, whatever the sandbox has put into it") {
  Event event;
  event.host = "a\"b\\c\n\x1b[31m\xff";
  event.address = Address::parse("192.0.2.1");
  event.port = 443;
  event.reason = std::string(100000, '"');
  const std::string line = event_line(event, std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'123)));
  CHECK(line.starts_with(
      R"({"time":"2023-11-14T22:13:20.123Z","host":"a\"b\\c??[31m?","address":"192.0.2.1","port":443,"protocol":"tcp",)"));
  CHECK(line.size() < 4096);
  CHECK(line.ends_with(R"("bytes_up":0,"bytes_down":0,"duration_ms":0})"));
}
