#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pool/backoff.h"
#include "pool/driver.h"
#include "pool/options.h"
#include "pool/stats.h"

namespace clawrun::pool {

TEST_CASE("pool: back-off doubles up to its longest, and is forgotten") {
  constexpr std::uint64_t kSecond_ns = 1'000'000'000;
  Backoff backoff;
  std::uint64_t now_ns = 100 * kSecond_ns;
  for (const std::uint64_t expected_ms : {10U, 20U, 40U, 80U}) {
    backoff.failed(now_ns);
    CHECK(backoff.until_ns() - now_ns == expected_ms * 1'000'000);
    now_ns = backoff.until_ns();
  }
  for (int i = 0; i < 30; ++i) {
    backoff.failed(now_ns);
    now_ns = backoff.until_ns();
  }
  backoff.failed(now_ns);
  CHECK(backoff.until_ns() - now_ns == Backoff::kLongest_ns);
  now_ns = backoff.until_ns() + 11 * kSecond_ns;
  backoff.failed(now_ns);
  CHECK(backoff.until_ns() - now_ns == Backoff::kFirst_ns);
  backoff.succeeded();
  CHECK(backoff.in_a_row() == 0);
  CHECK(backoff.until_ns() == 0);
}

TEST_CASE("pool: variables and code as the drivers read them") {
  const std::vector<std::string> variables{"A=1", "B=it's\n"};
  const auto python = find_driver("/usr/bin/python3.11");
  REQUIRE(python.has_value());
  CHECK(*(*python)->compose(variables, "x\0y") == std::string("A=1\0B=it's\n\0\0x", 14));
  CHECK(*(*python)->compose({}, "") == std::string(1, '\0'));
  const auto shell = find_driver("sh");
  REQUIRE(shell.has_value());
  CHECK(*(*shell)->compose(variables, "code") == "exec 3<&-; export A='1'; export B='it'\\''s\n'; code\n");
  const std::vector<std::string> hostile{"A;reboot;B=1"};
  CHECK_FALSE((*shell)->compose(hostile, "").has_value());
  CHECK_FALSE((*shell)->compose({}, std::string_view("a\0b", 3)).has_value());
  CHECK_FALSE(find_driver("python2").has_value());
  CHECK_FALSE(find_driver("").has_value());
}

TEST_CASE("pool: options") {
  Options options;
  CHECK(set_option(options, "size", "10000").has_value());
  CHECK_FALSE(set_option(options, "size", "10001").has_value());
  CHECK(options.size == 10000);
  CHECK_FALSE(set_option(options, "prime", std::string(128 * 1024, 'x')).has_value());
  CHECK(set_option(options, "wait", "500ms").has_value());
  CHECK(options.wait.count() == 500);
  CHECK(set_option(options, "shrink", "off").has_value());
  CHECK(options.shrink == Switch::kOff);
}

TEST_CASE("pool: statistics as text") {
  Stats stats;
  stats.hits = 3;
  CHECK(to_json(stats).starts_with("{\"size\":0,\"ready\":0,\"filling\":0,\"hits\":3,"));
  CHECK(to_prometheus(stats, "a\"\\\n").find("\nclawrun_pool_hits_total{pool=\"a\\\"\\\\\\n\"} 3\n") != std::string::npos);
}

}  // namespace clawrun::pool
