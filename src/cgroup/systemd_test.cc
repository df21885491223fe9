#include "cgroup/systemd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "cgroup/systemd_answer.h"
#include "cgroup/systemd_helper.h"
#include "cgroup/systemd_properties.h"
#include "cgroup/systemd_protocol.h"
#include "cgroup/unit_name.h"
#include "cgroup/unit_value.h"
#include "sys/sys.h"

using namespace clawrun;
using namespace clawrun::cgroup;
using namespace std::chrono_literals;

namespace {

std::string text_of(const UnitValue& value) {
  return value.signature + "|" + join(value.steps, ",");
}

std::string parsed(std::string_view text, std::string_view name = "X") {
  const auto property = parse_unit_property(name, text);
  return property ? text_of(property->value) : "error";
}

// "NAME=signature|steps" of the last property of that name, or "".
std::string property_of(const Limits& limits, std::string_view name) {
  std::string found;
  const auto result = systemd_properties(limits);
  REQUIRE(result);
  for (const UnitProperty& property : result->properties)
    if (property.name == name) found = text_of(property.value);
  return found;
}

DeviceRule device(char type, std::optional<std::uint32_t> major, std::optional<std::uint32_t> minor, bool allow = true) {
  return {.allow = allow, .type = type, .major = major, .minor = minor};
}

std::string path_of(std::string_view path, Manager manager = Manager::kSystem) {
  const auto name = parse_cgroups_path(path, manager);
  return name ? name->slice + " " + name->unit : "error";
}

std::string words(std::string_view answer, UnitCall call = {"start", "x.scope", Manager::kSystem, 10s}) {
  const auto result = read_answer(call, answer);
  return result ? "ok " + *result : result.error().message;
}

// A stand-in for the helper, in a directory of its own.
class Stand {
 public:
  explicit Stand(const std::string& script) {
    CHECK(::mkdtemp(directory_) != nullptr);
    path_ = std::string(directory_) + "/helper";
    const auto file = sys::open(path_, O_WRONLY | O_CREAT | O_EXCL, 0700);
    REQUIRE(file);
    REQUIRE(sys::write_all(file->get(), script));
  }
  Stand(const Stand&) = delete;
  Stand& operator=(const Stand&) = delete;
  ~Stand() {
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  [[nodiscard]] HelperProgram program() const { return {UniqueFd(::open(path_.c_str(), O_PATH | O_CLOEXEC)), path_}; }

 private:
  char directory_[32] = "/tmp/clawrun-test-XXXXXX";
  std::string path_;
};

}  // namespace

TEST_CASE("slice:prefix:name is a slice and a scope") {
  CHECK(path_of("system.slice:clawrun:web") == "system.slice clawrun-web.scope");
  CHECK(path_of("::web") == "system.slice web.scope");
  CHECK(path_of("::web", Manager::kUser) == "user.slice web.scope");
  CHECK(path_of("a-b-c.slice:docker:0f") == "a-b-c.slice docker-0f.scope");
  CHECK(path_of("-.slice::x") == "-.slice x.scope");
  CHECK(path_of("::a+b") == "system.slice a\\x2bb.scope");
  for (const char* bad :
       {"", "web", "a:b", "a.slice:b:c:d", "system.slice:clawrun:", "/a/b", "a.slice:b:c/d", "a/b.slice::c", "::x.slice", "a:b:c",
        ".slice::c", "a--b.slice::c", "-a.slice::c", "a-.slice::c", "--.slice::c", "a@b.slice::c", "\x1b.slice::c"})
    CHECK_MESSAGE(path_of(bad) == "error", bad);
  CHECK(path_of("::" + std::string(300, 'a')) == "error");
  CHECK(path_of("::" + std::string(249, 'a')) != "error");
  CHECK_FALSE(check_scope_name("x"));
  CHECK_FALSE(check_scope_name(".scope"));
  CHECK_FALSE(check_scope_name("a b.scope"));
  CHECK_FALSE(check_scope_name("a\nstop b.scope"));
  CHECK_FALSE(check_scope_name("a@.scope"));
  CHECK(check_scope_name("clawrun-a_b.c.scope"));
}

TEST_CASE("limits become properties") {
  CHECK(property_of({.memory_bytes = 64U << 20U}, "MemoryMax") == "t|t 67108864");
  CHECK(property_of({.memory_bytes = kUnlimited}, "MemoryMax") == "t|t 18446744073709551615");
  CHECK(property_of({.memory_swap_bytes = 0}, "MemorySwapMax") == "t|t 0");
  CHECK(property_of({.memory_high_bytes = 4096}, "MemoryHigh") == "t|t 4096");
  CHECK(property_of({.pids = 20}, "TasksMax") == "t|t 20");
  CHECK(property_of({.cpu_weight = 900}, "CPUWeight") == "t|t 900");
  CHECK(property_of({.io_weight = 200}, "IOWeight") == "t|t 200");
  CHECK(systemd_properties({})->properties.empty());
  const auto oom = systemd_properties({.oom_group = true});
  CHECK(oom->properties.empty());
  CHECK(oom->direct.oom_group == true);
  const auto none = systemd_properties({.pids = 0});
  CHECK(none->direct.pids == 0U);
  CHECK(property_of({.pids = 0}, "TasksMax") == "t|t 1");
}

TEST_CASE("a share of a processor is never rounded down, and written exactly where it was rounded") {
  const auto quota = [](std::uint64_t us, std::uint64_t period) {
    const Limits limits{.cpu_quota_us = us, .cpu_period_us = period};
    const auto result = systemd_properties(limits);
    REQUIRE(result);
    return property_of(limits, "CPUQuotaPerSecUSec") + " " + (result->direct.cpu_quota_us ? "direct" : "held");
  };
  CHECK(quota(50'000, 100'000) == "t|t 500000 held");
  CHECK(quota(250'000, 100'000) == "t|t 2500000 held");
  CHECK(quota(12'345, 100'000) == "t|t 130000 direct");
  CHECK(quota(1'000, 1'000'000) == "t|t 10000 direct");
  CHECK(quota(10'000, 33'333) == "t|t 310000 direct");
  CHECK(quota(kUnlimited, 100'000) == "t|t 18446744073709551615 held");
  CHECK(property_of({.cpu_quota_us = 5'000, .cpu_period_us = 10'000}, "CPUQuotaPeriodUSec") == "t|t 10000");
  CHECK_FALSE(systemd_properties({.cpu_quota_us = 5'000, .cpu_period_us = 0}));
}

TEST_CASE("a set of processors becomes bits") {
  const auto cpus = [](const char* list) { return property_of({.cpuset_cpus = list}, "AllowedCPUs"); };
  CHECK(cpus("0") == "ay|a y,y 1,.");
  CHECK(cpus("0-2,7") == "ay|a y,y 135,.");
  CHECK(cpus("8,1") == "ay|a y,y 2,y 1,.");
  CHECK(cpus("3-3") == "ay|a y,y 8,.");
  CHECK(cpus("") == "ay|a y,.");
  for (const char* bad : {"a", "1-", "-1", "3-1", "1,,2", ",", "8192", "0-18446744073709551615", "1 2", "0-10:2/4"})
    CHECK_MESSAGE(!systemd_properties({.cpuset_cpus = bad}), bad);
}

TEST_CASE("rates of devices are pairs of a path and a number") {
  Limits limits;
  limits.io_max.push_back({.device = "8:0", .read_bytes_per_s = 1000, .write_operations_per_s = kUnlimited});
  limits.io_max.push_back({.device = "259:3", .read_bytes_per_s = 5});
  CHECK(property_of(limits, "IOReadBandwidthMax") ==
        "a(st)|a (st),r st,s /dev/block/8:0,t 1000,.,r st,s /dev/block/259:3,t 5,.,.");
  CHECK(property_of(limits, "IOWriteIOPSMax") == "a(st)|a (st),r st,s /dev/block/8:0,t 18446744073709551615,.,.");
  CHECK(property_of(limits, "IOReadIOPSMax").empty());
  for (const char* bad : {"", "8", "8:", ":0", "8:0:0", "/dev/sda", "8:0/../../sda", "4096:0", "-1:0"}) {
    limits.io_max[0].device = bad;
    CHECK_MESSAGE(!systemd_properties(limits), bad);
  }
}

TEST_CASE("a device policy is a list of what is granted; what a list cannot say is left to be written") {
  const auto list = [](std::vector<DeviceRule> rules) {
    const Limits limits{.devices = std::move(rules)};
    CHECK(property_of(limits, "DevicePolicy") == "s|s strict");
    std::string text = property_of(limits, "DeviceAllow").substr(std::string("a(ss)|a (ss)").size());
    return text + (systemd_properties(limits)->direct.devices ? " direct" : " held");
  };
  CHECK(list({}) == ",. held");
  CHECK(list({device('c', 1, 3)}) == ",r ss,s /dev/char/1:3,s rwm,.,. held");
  CHECK(list({device('b', 8, {})}) == ",r ss,s block-8,s rwm,.,. held");
  CHECK(list({device('a', {}, {})}) == ",r ss,s char-*,s rwm,.,r ss,s block-*,s rwm,.,. held");
  DeviceRule only_mknod = device('c', {}, {});
  only_mknod.read = only_mknod.write = false;
  CHECK(list({only_mknod, device('c', 1, 3)}) == ",r ss,s char-*,s m,.,r ss,s /dev/char/1:3,s rwm,.,. held");
  // Denied first and granted then: the usual list of OCI.
  CHECK(list({device('a', {}, {}, false), device('c', 1, 3)}) == ",r ss,s /dev/char/1:3,s rwm,.,. held");
  CHECK(list({device('c', 1, {}), device('c', 1, 9, false)}) == ",r ss,s char-1,s rwm,.,. direct");
  CHECK(list({device('c', {}, 5)}) == ",r ss,s char-*,s rwm,.,. direct");
  CHECK(list({device('c', 1, 3), device('c', 1, 3, false)}) == ",. held");
  // What was granted before is taken back first.
  const auto twice = systemd_properties({.devices = std::vector{device('c', 1, 3)}});
  REQUIRE(twice->properties.size() == 3);
  CHECK(text_of(twice->properties[1].value) == "a(ss)|a (ss),.");
}

TEST_CASE("values of annotations have types") {
  CHECK(parsed("true") == "b|b 1");
  CHECK(parsed("false") == "b|b 0");
  CHECK(parsed("5") == "i|i 5");
  CHECK(parsed("-5") == "i|i -5");
  CHECK(parsed("uint64 123") == "t|t 123");
  CHECK(parsed("int64 -9223372036854775808") == "x|x -9223372036854775808");
  CHECK(parsed("1.5") == "d|d 1.5");
  CHECK(parsed("double 2") == "d|d 2");
  CHECK(parsed(" 'a b' ") == "s|s a b");
  CHECK(parsed(R"("it's")") == "s|s it's");
  CHECK(parsed(R"('it\'s \\')") == R"(s|s it's \)");
  CHECK(parsed("''") == "s|s ");
  CHECK(parsed("objectpath '/a'") == "o|o /a");
  CHECK(parsed("['a', 'b']") == "as|a s,s a,s b,.");
  CHECK(parsed("@as []") == "as|a s,.");
  CHECK(parsed("[uint64 1, 2]") == "at|a t,t 1,t 2,.");
  CHECK(parsed("('a', uint64 1)") == "(st)|r st,s a,t 1,.");
  CHECK(parsed("[('a', true), ('b', false)]") == "a(sb)|a (sb),r sb,s a,b 1,.,r sb,s b,b 0,.,.");
  CHECK(parsed("@a(st) [('a', 1)]") == "a(st)|a (st),r st,s a,t 1,.,.");
  CHECK(parsed("uint64 1", "TimeoutStopUSec") == "t|t 1");
  for (const char* bad : {"",
                          " ",
                          "a",
                          "5x",
                          "5000000000",
                          "-2147483649",
                          "byte 256",
                          "uint32 -1",
                          "uint64 18446744073709551616",
                          "uint64 1.5",
                          "'a",
                          "'a\\",
                          "'\\n'",
                          "[",
                          "[]",
                          "[1",
                          "[1,",
                          "[1 2]",
                          "[1, 'a']",
                          "['a', [1]]",
                          "(",
                          "()",
                          "('a',",
                          "@",
                          "@z 1",
                          "@as 5",
                          "@(ss) ('a',)",
                          "@(s) ('a', 'b')",
                          "true false",
                          "uint64",
                          "uint64 true",
                          "<1>",
                          "{'a': 1}",
                          "1e",
                          "'a\nb'",
                          "'a\tb'",
                          "@s @u 5",
                          "nan",
                          "-",
                          "--5",
                          "+5",
                          "0x10"})
    CHECK_MESSAGE(parsed(bad) == "error", bad);
  CHECK(parsed(std::string(5000, '[')) == "error");
  CHECK(parsed(std::string(5000, '(') + "1") == "error");
  CHECK(parsed("@" + std::string(5000, 'a') + "s []") == "error");
  CHECK(parsed("'" + std::string(20'000, 'a') + "'") == "error");
  CHECK(parsed(std::string_view("'a\0b'", 5)) == "error");
}

TEST_CASE("a property in seconds is one in microseconds") {
  const auto converted = [](const char* text) {
    const auto property = parse_unit_property("TimeoutStopSec", text);
    return property ? property->name + " " + text_of(property->value) : "error";
  };
  CHECK(converted("7") == "TimeoutStopUSec t|t 7000000");
  CHECK(converted("uint64 7") == "TimeoutStopUSec t|t 7000000");
  CHECK(converted("0.25") == "TimeoutStopUSec t|t 250000");
  for (const char* bad : {"-1", "'7'", "1e300", "uint64 18446744073709551615", "[7]"})
    CHECK_MESSAGE(converted(bad) == "error", bad);
  for (const char* bad : {"", "A B", "A\nstop x.scope", "a.b", "é"}) CHECK_FALSE(parse_unit_property(bad, "1"));
}

TEST_CASE("answers of the helper become sentences") {
  CHECK(words("ok /system.slice/x.scope") == "ok /system.slice/x.scope");
  CHECK(words("error\tStartTransientUnit\tdeadline\t") ==
        "systemd did not answer StartTransientUnit for x.scope within 10 s; --cgroup-driver cgroupfs does without systemd");
  CHECK(words("error\tStartTransientUnit\tdeadline\t", {"start", "x.scope", Manager::kUser, 1500ms}) ==
        "systemd --user did not answer StartTransientUnit for x.scope within 1500 ms; --cgroup-driver cgroupfs does without "
        "systemd");
  CHECK(words("error\tconnecting\tdeadline\t/run/b").starts_with("/run/b did not let clawrun in within 10 s"));
  CHECK(words("error\tconnecting\tmissing\t/run/b: No such file").find("(/run/b: No such file)") != std::string::npos);
  CHECK(words("error\tjob\tdeadline\t").starts_with("systemd took on starting x.scope, but did not finish within 10 s"));
  CHECK(words("error\tjob\tfailed\t").find("\"failed\"") != std::string::npos);
  CHECK(read_answer({"start", "x.scope"}, "error\tM\torg.freedesktop.systemd1.UnitExists\twas\tloaded").error().kind ==
        ErrorKind::kInvalid);
  CHECK(words("error\tM\torg.freedesktop.systemd1.UnitExists\tUnit x.scope exists.").find("(Unit x.scope exists.)") !=
        std::string::npos);
  CHECK(read_answer({"stop", "x.scope"}, "error\tM\torg.freedesktop.DBus.Error.AccessDenied\t").error().kind ==
        ErrorKind::kDenied);
  // What others say never reaches a terminal as it is.
  for (const char* hostile : {"error\tM\tx\t\x1b[31m", "error\t\x1b[31m\tx\tm", "error\tM\t\x1b[31m\tm", "error\tjob\t\x1b\t",
                              "\x1b[31m", "", "error", "error\t\t", "error\tconnecting\tclosed\t\x1b"})
    CHECK_MESSAGE(words(hostile).find('\x1b') == std::string::npos, hostile);
  CHECK_FALSE(read_answer({"start", "x.scope"}, ""));
  CHECK_FALSE(read_answer({"start", "x.scope"}, "ok"));
}

TEST_CASE("a helper is asked, and no helper holds up its caller") {
  SUBCASE("it hangs") {
    const Stand stand("#!/bin/sh\nsleep 60\n");
    const auto answer = ask_helper(stand.program(), "x", 200ms);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find("no answer within 200 ms") != std::string::npos);
  }
  SUBCASE("it ends without an answer") {
    const Stand stand("#!/bin/sh\nexit 127\n");
    const auto answer = ask_helper(stand.program(), std::string(60'000, 'x'), 20s);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find("status 127 (is libsystemd installed?") != std::string::npos);
  }
  SUBCASE("it is killed") {
    const Stand stand("#!/bin/sh\nkill -KILL $$\n");
    CHECK(ask_helper(stand.program(), "x", 20s).error().message.find("killed by signal 9") != std::string::npos);
  }
  SUBCASE("it gets nothing of ours but the socket, and its words come back") {
    ::setenv("CLAWRUN_TEST_SECRET", "secret", 1);
    const int inherited = ::open("/dev/zero", O_RDONLY);  // without O_CLOEXEC, as a host process may have it
    const Stand stand("#!/bin/sh\nexec 9>&0\n(set; ls -l /proc/$$/fd) | grep -c -e secret -e /dev/zero >&9\n");
    const auto answer = ask_helper(stand.program(), "x", 20s);
    CHECK_MESSAGE(answer.value_or("") == "0\n", (answer ? *answer : answer.error().message));
    ::close(inherited);
    ::unsetenv("CLAWRUN_TEST_SECRET");
  }
  SUBCASE("what it was asked is too much, or it is no program") {
    const Stand stand("#!/bin/sh\n");
    CHECK_FALSE(ask_helper(stand.program(), std::string(70'000, 'x'), 20s));
    const Stand nothing("no program");
    CHECK_FALSE(ask_helper(nothing.program(), "x", 20s));
    CHECK_FALSE(ask_helper({UniqueFd(), "/nowhere"}, "x", 20s));
  }
  SUBCASE("children are lost to who ignores SIGCHLD") {
    const auto before = std::signal(SIGCHLD, SIG_IGN);
    const Stand stand("#!/bin/sh\necho yes >&0\n");
    CHECK(ask_helper(stand.program(), "x", 20s).value_or("") == "yes\n");
    std::signal(SIGCHLD, before);
  }
}

TEST_CASE("requests that make no sense are refused before anybody is asked") {
  CHECK(start_scope({.unit = "x.scope"}).error().kind == ErrorKind::kInternal);
  CHECK(start_scope({.unit = "x", .pid = 1}).error().kind == ErrorKind::kInvalid);
  CHECK(start_scope({.unit = "x.scope", .pid = 1, .properties = {{"PIDs", "[uint32 1]"}}}).error().kind == ErrorKind::kInvalid);
  CHECK(start_scope({.unit = "x.scope", .pid = 1, .deadline = 0ms}).error().kind == ErrorKind::kInvalid);
  CHECK(stop_scope("x.service", false).error().kind == ErrorKind::kInvalid);
  const auto nothing = set_properties("x.scope", false, {.oom_group = true});
  REQUIRE(nothing);
  CHECK(nothing->oom_group == true);
}
