#include "report/report.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "plan/compile.h"
#include "seccomp/builtin.h"
#include "spec/profile.h"
#include "sys/sys.h"

namespace clawrun::report {

namespace {

std::string read(const std::string& path) {
  return sys::read_file(path, 1 << 20U).value_or("");
}

void write(const std::string& path, std::string_view text) {
  const auto file = sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  REQUIRE(file);
  REQUIRE(sys::write_all(file->get(), text));
}

plan::Inputs made_up_inputs(bool privileged, const spec::SandboxSpec& spec) {
  plan::Inputs inputs;
  inputs.host.kernel = {6, 12};
  inputs.host.uid = inputs.host.gid = privileged ? 0 : 1001;
  inputs.host.privileged = privileged;
  inputs.host.landlock_abi = 6;
  inputs.host.has_clone3 = inputs.host.has_openat2 = inputs.host.has_close_range = true;
  inputs.host.has_mount_api = inputs.host.has_mount_setattr = inputs.host.has_seccomp_filter = true;
  inputs.root.name = "host";
  inputs.root.entries = {{"/bin", host::HostEntry::Kind::kSymlink, "usr/bin"},
                         {"/usr", host::HostEntry::Kind::kDirectory, ""},
                         {"/etc/ld.so.cache", host::HostEntry::Kind::kFile, ""}};
  // The filters themselves have tests of their own; here only their sizes would change with each edit of a profile.
  inputs.seccomp =
      seccomp::Compiled{.name = spec.seccomp, .filters = {{{6, 0, 0, 0x7fff0000}}}, .has_start_cookie = spec.seccomp == "strict"};
  inputs.loopback_request = std::string(32, 'n');
  inputs.cgroup_place.v2 = {{"memory", "pids"}, "/sys/fs/cgroup", "/sys/fs/cgroup"};
  inputs.available_memory_bytes = 8ULL << 30U;
  inputs.sub_uids = inputs.sub_gids = {{100000, 65536}};
  return inputs;
}

void compare(const std::string& name, bool privileged, const std::string& profile) {
  CAPTURE(name);
  spec::SandboxSpec spec;
  spec.command = {"python3", "-c", "print(6*7)"};
  if (!profile.empty()) {
    const std::string file = std::string(CLAWRUN_SOURCE_DIR) + "/profiles/" + profile + ".json";
    REQUIRE(spec::apply_profile(spec, read(file), file));
    spec.profiles = {profile};
  }
  const auto valid = spec::validate(spec);
  REQUIRE(valid);
  const auto plan = plan::compile(*valid, made_up_inputs(privileged, spec));
  REQUIRE(plan);
  const std::string path = std::string(CLAWRUN_SOURCE_DIR) + "/src/report/golden/" + name + ".json";
  const std::string actual = plan_to_json(*plan);
  // CLAWRUN_UPDATE_GOLDEN=1 writes the files anew; the diff is then what a reviewer reads.
  if (std::getenv("CLAWRUN_UPDATE_GOLDEN") != nullptr) write(path, actual);
  CHECK(actual == read(path));
}

}  // namespace

TEST_CASE("the plans of the built-in defaults and of each shipped profile are the recorded ones") {
  compare("default-root", true, "");
  compare("default-user", false, "");
  compare("compute-root", true, "compute");
  compare("compute-user", false, "compute");
  compare("packages-root", true, "packages");
  compare("packages-user", false, "packages");
}

TEST_CASE("the report has every field, with values of the promised kinds") {
  spec::Outcome outcome;
  outcome.status = spec::Status::kSignaled;
  outcome.signal = 9;
  outcome.exit_code = 137;
  outcome.started_at = std::chrono::system_clock::time_point(std::chrono::microseconds(1'700'000'000'123'456));
  outcome.stages_us = {{"clone", 5}};
  plan::Plan plan;
  plan.rootfs = "host";
  plan.rlimits = {{7, 1024, 1024}};
  const auto json = nlohmann::json::parse(to_json(outcome, &plan));
  for (const char* field : {"id",
                            "status",
                            "exit_code",
                            "signal",
                            "reason",
                            "started_at",
                            "wall_us",
                            "cpu_user_us",
                            "cpu_system_us",
                            "memory_peak_bytes",
                            "oom_killed",
                            "timed_out",
                            "stdout_lost_bytes",
                            "stderr_lost_bytes",
                            "rootfs",
                            "profile",
                            "limits",
                            "degradations",
                            "stages_us",
                            "notes",
                            "pids_peak",
                            "pids_limit_hits",
                            "oom_kills",
                            "cpu_throttling",
                            "io",
                            "psi"})
    CHECK(json.contains(field));
  CHECK(json["status"] == "signaled");
  CHECK(json["exit_code"] == 137);
  CHECK(json["signal"] == "SIGKILL");
  CHECK(json["started_at"] == "2023-11-14T22:13:20.123456Z");
  CHECK(json["limits"]["nofile"] == 1024);
  CHECK(nlohmann::json::parse(to_json(outcome, nullptr))["rootfs"].is_null());
}

TEST_CASE("exit codes follow the one table") {
  spec::Outcome outcome;
  outcome.status = spec::Status::kExited;
  outcome.exit_code = 7;
  CHECK(exit_code(outcome) == 7);
  outcome.status = spec::Status::kSignaled;
  outcome.signal = 15;
  CHECK(exit_code(outcome) == 143);
  outcome.status = spec::Status::kTimeout;
  CHECK(exit_code(outcome) == 124);
}

TEST_CASE("bytes that are no UTF-8 do not break the JSON") {
  plan::Plan plan;
  plan.argv = {"\xff\xfe"};
  CHECK(nlohmann::json::accept(plan_to_json(plan)));
}

}  // namespace clawrun::report
