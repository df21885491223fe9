#include <doctest/doctest.h>

#include <algorithm>

#include "spec/profile.h"
#include "spec/settings.h"
#include "spec/validate.h"

namespace clawrun::spec {

namespace {

SandboxSpec with_command() {
  SandboxSpec spec;
  spec.command = {"true"};
  return spec;
}

bool has_problem(SandboxSpec spec, std::string_view setting) {
  const auto valid = validate(std::move(spec));
  return !valid && std::ranges::any_of(valid.error(), [&](const Problem& problem) { return problem.setting == setting; });
}

}  // namespace

TEST_CASE("only whole decimal numbers are users (CVE-2016-3697, CVE-2026-30892)") {
  for (const char* bad : {"", ":", "1000:", ":1000", "+0", "-1", "0x0", "1e3", " 0", "0 ", "root:root", "4294967295",
                          "1000:4294967295", "18446744073709551616", "1:2:3", "nobody"}) {
    CAPTURE(bad);
    SandboxSpec spec;
    CHECK_FALSE(apply_setting(spec, "user", bad));
    CHECK(spec.uid == kSandboxId);
    CHECK(spec.gid == kSandboxId);
  }
  SandboxSpec spec;
  CHECK(apply_setting(spec, "user", "root"));
  CHECK(spec.uid == 0);
  CHECK(apply_setting(spec, "user", "7:8"));
  CHECK(spec.uid == 7);
  CHECK(spec.gid == 8);
  CHECK(apply_setting(spec, "user", "9"));
  CHECK(spec.gid == 9);
}

TEST_CASE("paths with colons can be written") {
  SandboxSpec spec;
  CHECK(apply_setting(spec, "bind", "/a\\:b:/c:ro"));
  CHECK(spec.binds[0].source == "/a:b");
  CHECK(spec.binds[0].target == "/c");
  CHECK(spec.binds[0].read_only);
  for (const char* bad : {"", ":", "/a", "/a:", ":/b", "/a:/b:rx", "/a:/b:ro:ro"}) {
    CAPTURE(bad);
    CHECK_FALSE(apply_setting(spec, "bind", bad));
  }
  CHECK(apply_setting(spec, "workspace", "dir:ro"));
  CHECK(spec.workspace->read_only);
  CHECK_FALSE(apply_setting(spec, "workspace", "dir:/x"));
}

TEST_CASE("unknown names and values are named with what is near") {
  SandboxSpec spec;
  CHECK(apply_setting(spec, "timeuot", "1s").error().message.find("timeout") != std::string::npos);
  CHECK(apply_setting(spec, "cap-add", "CHWON").error().message.find("CHOWN") != std::string::npos);
  CHECK(apply_setting(spec, "network", "hots").error().message.find("host") != std::string::npos);
  CHECK_FALSE(apply_setting(spec, "env", "=x"));
  CHECK_FALSE(apply_setting(spec, "env", std::string_view("a=\0b", 4)));
  CHECK_FALSE(apply_setting(spec, "preserve-fd", "2"));
  CHECK_FALSE(apply_setting(spec, "cpu-time", "1500ms"));
}

TEST_CASE("every problem is reported at once") {
  SandboxSpec spec;
  spec.hostname = "a b";
  spec.workdir = "relative";
  spec.binds = {{"/x", "/proc/self", false}, {"/y", "/data", false}};
  spec.tmpfs = {{"/data", std::nullopt}};
  spec.limits.memory_bytes = 1 << 20U;
  spec.limits.memory_high_bytes = 2 << 20U;
  const auto valid = validate(spec);
  REQUIRE_FALSE(valid);
  std::vector<std::string> settings;
  for (const Problem& problem : valid.error()) settings.push_back(problem.setting);
  for (const char* expected : {"command", "hostname", "workdir", "bind", "tmpfs", "memory-high"}) {
    CAPTURE(expected);
    CHECK(std::ranges::find(settings, expected) != settings.end());
  }
}

TEST_CASE("limits by cgroup: units, borders, and none") {
  SandboxSpec spec;
  CHECK(apply_setting(spec, "memory", "64m"));
  CHECK(spec.limits.memory_bytes == 64 << 20U);
  CHECK(apply_setting(spec, "memory", "none"));
  CHECK(spec.limits.memory_bytes == cgroup::kUnlimited);
  CHECK_FALSE(apply_setting(spec, "memory", "64"));
  const struct {
    const char* text;
    std::uint64_t quota_us;
  } processors[] = {{"0.5", 50'000}, {"2", 200'000}, {".25", 25'000}, {"1.5", 150'000}, {"0.01", 1000},
                    {"0.00001", 0},  {"0", 0},       {"-1", 0},       {"1.", 0},        {"", 0},
                    {".", 0},        {"1e3", 0},     {"0.123456", 0}, {"99999", 0}};
  for (const auto& row : processors) {
    CAPTURE(row.text);
    spec = {};
    CHECK(apply_setting(spec, "cpus", row.text).has_value() == (row.quota_us != 0));
    if (row.quota_us != 0) CHECK(spec.limits.cpu_quota_us == row.quota_us);
  }
  for (const char* bad : {"0", "10001", "-1", "x", ""}) CHECK_FALSE(apply_setting(spec, "cpu-weight", bad));
  for (const char* bad : {"1", "262145", ""}) CHECK_FALSE(apply_setting(spec, "cpu-shares", bad));
  for (const char* bad : {"0", "1", "", "max", "99999999"}) CHECK_FALSE(apply_setting(spec, "pids", bad));
  for (const char* good : {"0", "0-3,6", "7,1"}) CHECK(apply_setting(spec, "cpuset", good));
  for (const char* bad : {"", "3-1", "0-", "a", "0,,1", "0-1-2", " 0"}) CHECK_FALSE(apply_setting(spec, "cpuset", bad));
  for (const char* good : {"8:0:rbps=1m", "/dev/sda:rbps=1m,wiops=5", "/dev/x:y:riops=none"})
    CHECK(apply_setting(spec, "io-max", good));
  CHECK(spec.limits.io_max[0].device == "8:0");
  CHECK(spec.limits.io_max[2].device == "/dev/x:y");
  for (const char* bad : {"", "8:0", "8:0:", ":rbps=1", "8:0:rbps", "8:0:rbps=0", "8:0:bps=1", "8:0:rbps=1,,"})
    CHECK_FALSE(apply_setting(spec, "io-max", bad));
  for (const char* good : {"/dev/fuse", "/dev/net/tun:rw", "/dev/kvm:rwm"}) CHECK(apply_setting(spec, "device", good));
  for (const char* bad : {"", "fuse", "/etc/passwd", "/dev/fuse:", "/dev/fuse:x", "/dev/fuse:r:w"})
    CHECK_FALSE(apply_setting(spec, "device", bad));
  for (const char* good : {"a", "Build-7.x_1"}) CHECK(apply_setting(spec, "name", good));
  for (const char* bad : {"", "-a", ".", "a/b", "a b", "\n"}) CHECK_FALSE(apply_setting(spec, "name", bad));
  CHECK_FALSE(apply_setting(spec, "name", std::string(65, 'a')));
}

TEST_CASE("nothing may cover what clawrun makes itself (CVE-2019-16884)") {
  for (const char* target :
       {"/", "/proc", "/proc/self/attr", "/dev", "/dev/null", "/sys", "relative", "/a/../proc", "//proc//x"}) {
    CAPTURE(target);
    SandboxSpec spec = with_command();
    spec.binds = {{"/x", target, false}};
    CHECK(has_problem(spec, "bind"));
  }
  SandboxSpec spec = with_command();
  spec.binds = {{"/x", "//data//sub/", false}};
  const auto valid = validate(spec);
  REQUIRE(valid);
  CHECK((*valid)->binds[0].target == "/data/sub");
}

TEST_CASE("combinations that contradict each other") {
  SandboxSpec spec = with_command();
  spec.tty = true;
  spec.init = false;
  CHECK(has_problem(spec, "tty"));
  spec = with_command();
  spec.allow_exec = {"/bin/ls"};
  CHECK(has_problem(spec, "allow-exec"));
  spec.seccomp = "strict";
  CHECK(validate(spec));
  spec.landlock = Switch::kOff;
  CHECK(has_problem(spec, "allow-exec"));
}

TEST_CASE("a profile is checked by key") {
  SandboxSpec spec;
  CHECK(apply_profile(
      spec, R"({"description": "x", "timeout": "2s", "nproc": 5, "writable": true, "env": {"A": "b"}, "bind": ["/a:/b"]})", "p"));
  CHECK(spec.timeout == std::chrono::milliseconds(2000));
  CHECK(*spec.nproc == 5);
  CHECK(spec.writable);
  CHECK(spec.environment[0].name == "A");
  CHECK(spec.binds.size() == 1);
  const std::pair<const char*, const char*> bad[] = {{R"({"timeuot": "2s"})", "did you mean \"timeout\""},
                                                     {R"({"timeout": true})", "p: timeout"},
                                                     {R"({"writable": "on"})", "true or false"},
                                                     {R"({"bind": "/a:/b"})", "array"},
                                                     {R"({"bind": [1, "x"]})", "bind[0]"},
                                                     {R"({"env": {"A": 1}})", "env.A"},
                                                     {R"([])", "object"},
                                                     {R"({"nproc": -1})", "p: nproc"},
                                                     {R"({"nproc": 1.5})", "p: nproc"},
                                                     {R"({"timeout": null})", "p: timeout"},
                                                     {R"({"nproc": 1, "nproc": 2})", "twice"},
                                                     {R"({)", "not JSON"},
                                                     {"", "not JSON"}};
  for (const auto& [text, expected] : bad) {
    CAPTURE(text);
    SandboxSpec other;
    const auto applied = apply_profile(other, text, "p");
    REQUIRE_FALSE(applied);
    CAPTURE(applied.error().message);
    CHECK(applied.error().message.find(expected) != std::string::npos);
  }
  CHECK_FALSE(apply_profile(spec, std::string(2 << 20U, ' '), "p"));
}

TEST_CASE("each setting has its own name and a description") {
  const auto names = setting_names();
  for (const Setting& setting : settings()) {
    CAPTURE(setting.name);
    CHECK(std::ranges::count(names, setting.name) == 1);
    CHECK_FALSE(setting.help.empty());
    CHECK((setting.kind == ValueKind::kFlag) == setting.metavar.empty());
  }
}

}  // namespace clawrun::spec

TEST_CASE("a specification as JSON has a command, and a profile has none") {
  clawrun::spec::SandboxSpec spec;
  REQUIRE(clawrun::spec::apply_json(spec, R"({"command": ["ls", "-l"], "timeout": "2s", "env": {"A": "1"}, "max-output": "1k"})",
                                    "it"));
  CHECK(spec.command == std::vector<std::string>{"ls", "-l"});
  CHECK(spec.max_output_bytes == 1024);
  CHECK_FALSE(clawrun::spec::apply_json(spec, R"({"command": "ls"})", "it"));
  CHECK_FALSE(clawrun::spec::apply_json(spec, R"({"command": [1]})", "it"));
  CHECK_FALSE(clawrun::spec::apply_profile(spec, R"({"command": ["ls"]})", "it"));
}

TEST_CASE("files lie below the work directory, once each") {
  const auto problems_of = [](std::vector<clawrun::spec::File> files, const char* workspace = nullptr) {
    clawrun::spec::SandboxSpec spec;
    spec.command = {"true"};
    spec.files = std::move(files);
    if (workspace != nullptr) spec.workspace = clawrun::spec::Bind{workspace, clawrun::spec::kWorkspace};
    const auto valid = clawrun::spec::validate(std::move(spec));
    return valid ? 0U : valid.error().size();
  };
  CHECK(problems_of({{"a", ""}, {"b/c", ""}}) == 0);
  CHECK(problems_of({{"/a", ""}, {"../b", ""}, {"", ""}, {"c/./d", ""}}) == 4);
  CHECK(problems_of({{"a", ""}, {"a", ""}}) == 1);
  CHECK(problems_of({{"a", "", 04755}}) == 1);
  CHECK(problems_of({{"a", std::string((64U << 20U) + 1, 'x')}}) == 1);
  CHECK(problems_of({{"a", ""}}, "/home") == 1);
}
