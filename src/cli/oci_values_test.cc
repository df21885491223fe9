#include "cli/oci_values.h"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdint>

#include "cli/oci_log.h"
#include "cli/oci_owner.h"

namespace clawrun::cli {

using std::chrono::milliseconds;

TEST_CASE("signals by number and by name") {
  CHECK(parse_signal("9") == SIGKILL);
  CHECK(parse_signal("0") == 0);
  CHECK(parse_signal("64") == 64);
  for (const char* name : {"TERM", "SIGTERM", "term", "sigterm", "SigTerm"}) CHECK(parse_signal(name) == SIGTERM);
  CHECK(parse_signal("RTMIN") == 34);
  CHECK(parse_signal("SIGRTMIN+3") == 37);
  CHECK(parse_signal("rtmax-1") == 63);
  CHECK(parse_signal("SIGRTMIN+30") == 64);
  CHECK(parse_signal("IOT") == SIGABRT);
  CHECK(parse_signal("STKFLT") == SIGSTKFLT);
  for (const char* name :
       {"", "65", "-1", "+9", "0x9", "9 ", "SIG", "FOO", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN3", "SIGSIGTERM", "SIG9"}) {
    const auto signal = parse_signal(name);
    CHECK_MESSAGE(!signal, name);
    if (!signal) CHECK(signal.error().message.starts_with("unknown signal \""));
  }
}

TEST_CASE("numbers with a sign, and limits") {
  CHECK(parse_signed("-1") == -1);
  CHECK(parse_signed("9223372036854775807") == INT64_MAX);
  CHECK(parse_limit("64m") == 64 << 20);
  CHECK(parse_limit("-1") == -1);
  CHECK(parse_limit("0") == 0);
  for (const char* text : {"", "-", "--1", "+1", " 1", "1.5", "9223372036854775808", "0x10"}) CHECK_FALSE(parse_signed(text));
  for (const char* text : {"", "-2", "-1m", "x", "16777216t", "9223372036854775808"}) CHECK_FALSE(parse_limit(text));
}

TEST_CASE("intervals in Go's form") {
  CHECK(parse_interval("5s") == milliseconds(5000));
  CHECK(parse_interval("1m30s") == milliseconds(90000));
  CHECK(parse_interval("250ms") == milliseconds(250));
  CHECK(parse_interval("1.5h") == milliseconds(5400000));
  for (const char* text : {"", "5", "0s", "s", "-5s", "5x", "1m30", "9999999h", "5s ", "1s-1s", "..s"})
    CHECK_MESSAGE(!parse_interval(text), text);
}

TEST_CASE("the line of a log is one JSON object or one of logrus' lines, whatever the message has") {
  CHECK(log_line(OciLogFormat::kJson, {.message = "a \"b\"\n\x1b\xff"}, 0) ==
        "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\u000a\\u001b\xef\xbf\xbd\",\"time\":\"1970-01-01T00:00:00Z\"}\n");
  CHECK(log_line(OciLogFormat::kText, {.message = "container does not exist"}, 1'800'000'000) ==
        "time=\"2027-01-15T08:00:00Z\" level=error msg=\"container does not exist\"\n");
  CHECK(log_line(OciLogFormat::kText, {.level = "warning", .message = "w"}, 0) ==
        "time=\"1970-01-01T00:00:00Z\" level=warning msg=\"w\"\n");
}

TEST_CASE("the kernel's words are in lower case, as Docker's client looks for them") {
  CHECK(engine_wording(fail_errno("open /x", ENOENT).error()) == "open /x: no such file or directory");
  CHECK(engine_wording(fail_errno("exec: \"/etc\"", EACCES).error()) == "exec: \"/etc\": permission denied");
  CHECK(engine_wording(fail_errno("x", EPERM).error()) == "x: operation not permitted");
  CHECK(engine_wording(fail(ErrorKind::kInvalid, "No such file or directory").error()) == "No such file or directory");
  // Not every one begins with a word.
  CHECK(engine_wording(fail_errno("x", EREMOTEIO).error()) == "x: remote I/O error");
  CHECK(engine_wording(fail_errno("x", ERFKILL).error()).starts_with("x: "));
}

TEST_CASE("owners are named from passwd(5), and others by their number") {
  constexpr const char* kPasswd =
      "root:x:0:0::/:/bin/sh\n\n:x:7:7\nshort:x\nbad:x:7x:1::\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nben:x:1000:1";
  CHECK(owner_name(1000, kPasswd) == "ann");
  CHECK(owner_name(7, kPasswd) == "#7");
  CHECK(owner_name(4294967295U, "") == "#4294967295");
  CHECK(owner_name(0) == "root");
}

}  // namespace clawrun::cli
