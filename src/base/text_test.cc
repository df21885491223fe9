#include "base/text.h"

#include <doctest/doctest.h>

namespace clawrun {

TEST_CASE("parse_unsigned takes digits only, whole string") {
  CHECK(*parse_unsigned("0") == 0);
  CHECK(*parse_unsigned("18446744073709551615") == UINT64_MAX);
  CHECK(*parse_unsigned("65534", 65534) == 65534);
  for (const char* bad : {"", "-1", "+1", "0x10", "1 ", " 1", "1a", "18446744073709551616", "99999999999999999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_unsigned(bad));
  }
  CHECK_FALSE(parse_unsigned("65535", 65534));
}

TEST_CASE("parse_size is binary and rejects what overflows") {
  CHECK(*parse_size("1") == 1);
  CHECK(*parse_size("64k") == 65536);
  CHECK(*parse_size("64K") == 65536);
  CHECK(*parse_size("1m") == 1048576);
  CHECK(*parse_size("1MiB") == 1048576);
  CHECK(*parse_size("2g") == 2147483648ULL);
  for (const char* bad : {"", "k", "1.5m", "-1", "64q", "9223372036854775808", "99999999999g", "1 m"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("parse_duration takes ms, s, m, h and decimals") {
  using std::chrono::milliseconds;
  CHECK(*parse_duration("500ms") == milliseconds(500));
  CHECK(*parse_duration("2") == milliseconds(2000));
  CHECK(*parse_duration("1.5s") == milliseconds(1500));
  CHECK(*parse_duration("10m") == milliseconds(600'000));
  CHECK(*parse_duration("1h") == milliseconds(3'600'000));
  CHECK(*parse_duration("0.25s") == milliseconds(250));
  for (const char* bad : {"", "s", "1.", "1..5s", "-1s", "1w", "1.2.3", "99999999999h", "5 s"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("nearest finds a typing mistake and nothing else") {
  const std::string_view words[] = {"timeout", "tmpfs", "tmp-size", "env", "env-file", "network"};
  CHECK(nearest("timeuot", words) == "timeout");
  CHECK(nearest("tmps", words) == "tmpfs");
  CHECK(nearest("netwrk", words) == "network");
  CHECK(nearest("zzzzzz", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest(std::string(100000, 'a'), words).empty());
}

TEST_CASE("quoted hides control bytes") {
  CHECK(quoted("a\x1b[31m\"") == "\"a\\x1b[31m\\\"\"");
  CHECK(format_size(1536) == "1.5k");
  CHECK(format_size(1048576) == "1m");
}

}  // namespace clawrun
