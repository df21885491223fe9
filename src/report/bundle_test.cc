// Bundles of made-up plans: what their filters decide, and what config.json says.
#include "report/bundle.h"

#include <doctest/doctest.h>
#include <linux/mount.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "oci/config.h"
#include "oci/seccomp.h"
#include "report/bundle_seccomp.h"
#include "seccomp/adjust.h"
#include "seccomp/builtin.h"
#include "seccomp/interpret.h"

namespace clawrun::report {

namespace {

using nlohmann::json;
using Args = std::array<std::uint64_t, 6>;

constexpr int kNumbers = 1024;

seccomp::Table table_of(std::string_view text) {
  const auto profile = seccomp::parse_profile(text);
  REQUIRE(profile);
  auto table = seccomp::make_table(*profile, seccomp::native_target());
  REQUIRE(table);
  return *table;
}

std::uint32_t strictest(const std::vector<std::vector<sock_filter>>& filters, int number, const Args& args) {
  seccomp_data data{};
  data.nr = number;
  data.arch = seccomp::audit_arch(seccomp::kNativeArch);
  std::ranges::copy(args, data.args);
  // As the kernel asks: the last loaded first, and of equally strict answers it keeps the first.
  std::uint32_t answer = SECCOMP_RET_ALLOW;
  for (auto filter = filters.rbegin(); filter != filters.rend(); ++filter) {
    const auto one = seccomp::run_filter(*filter, data);
    if (!one) FAIL(one.error().message);
    if (seccomp::is_stricter(*one, answer)) answer = *one;
  }
  return answer;
}

// The values that decide in any profile of ours, what differs from them in one bit, and chance.
std::vector<std::uint64_t> telling_values(const std::optional<seccomp::Table>& table) {
  std::vector<std::uint64_t> values{0, 1, UINT64_MAX, 02000, 04000, 06000, 0100, 020000000, 020200000};
  if (table)
    for (const auto& [number, answers] : table->by_number)
      for (const auto& answer : answers.conditional)
        for (const auto& condition : answer.conditions) {
          values.push_back(condition.value);
          values.push_back(condition.value_two);
        }
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
  return values;
}

struct Filters {
  std::vector<std::vector<sock_filter>> exec;
  std::vector<std::vector<sock_filter>> bundle;
};

Filters filters_of(plan::Plan plan, const std::optional<seccomp::Table>& table) {
  std::vector<std::string> not_expressed;
  const auto part = seccomp_json(plan, table, not_expressed);
  REQUIRE(part);
  const json config{{"ociVersion", "1.0.2"}, {"root", {{"path", "r"}}}, {"linux", {{"seccomp", json::parse(*part)}}}};
  const auto parsed = oci::parse_config(config.dump());
  REQUIRE_MESSAGE(parsed, (parsed ? "" : parsed.error().message));
  const auto programs = oci::compile_seccomp(*parsed->linux.seccomp);
  REQUIRE_MESSAGE(programs, (programs ? "" : programs.error().message));
  return {std::move(plan.filters), programs->programs};
}

bool starts_programs(int number) {
  return number == seccomp::syscall_number(seccomp::kNativeArch, "execve").number ||
         number == seccomp::syscall_number(seccomp::kNativeArch, "execveat").number;
}

// The number of calls for which the two decide differently.
int differences(const Filters& filters, const std::optional<seccomp::Table>& table, bool has_cookie) {
  const std::vector<std::uint64_t> values = telling_values(table);
  std::mt19937_64 random(1);
  int different = 0;
  for (int number = 0; number < kNumbers; ++number) {
    if (has_cookie && starts_programs(number)) continue;
    for (int round = 0; round < 24; ++round) {
      Args args{};
      for (std::uint64_t& arg : args) {
        arg = values[random() % values.size()];
        if (random() % 4 == 0) arg ^= 1ULL << (random() % 64);
        if (random() % 16 == 0) arg = random();
      }
      if (strictest(filters.exec, number, args) == strictest(filters.bundle, number, args)) continue;
      ++different;
      MESSAGE("number " << number << " args " << args[0] << " " << args[1] << " " << args[2] << " " << args[3]);
      break;
    }
  }
  return different;
}

plan::Plan plan_with(const seccomp::BuiltinProfile* builtin) {
  plan::Plan plan;
  plan.seccomp_name = builtin != nullptr ? std::string(builtin->name) : "unconfined";
  if (builtin != nullptr) plan.filters = seccomp::to_compiled(*builtin).filters;
  return plan;
}

json config_of(const plan::Plan& plan, const BundleFacts& facts) {
  const auto bundle = to_bundle(plan, facts);
  REQUIRE_MESSAGE(bundle, (bundle ? "" : bundle.error().message));
  return json::parse(bundle->config);
}

plan::Plan small_plan() {
  plan::Plan plan;
  plan.seccomp_name = "unconfined";
  plan.ids.outside = plan::IdMaps::Outside::kPerProcess;
  plan.ids.uids = plan.ids.gids = {{1000, 0, 1}};
  plan.uid = plan.gid = 1000;
  plan.change_identity = true;
  plan.argv = {"true"};
  plan.workdir = "/workspace";
  plan.operations.resize(3);
  plan.operations[0].op = child::Op::kFilesystem;
  plan.operations[0].source = "tmpfs";
  plan.operations[1].op = child::Op::kBind;
  plan.operations[1].source = "/home/x/project";
  plan.operations[1].target = "workspace";
  plan.operations[1].recursive = true;
  plan.operations[1].attr_set = MOUNT_ATTR_NOSUID;
  plan.operations[1].idmap = plan::Ownership{.uid = 7, .gid = 8, .whole_range = false};
  plan.operations[2].op = child::Op::kAttributes;
  plan.operations[2].attr_set = MOUNT_ATTR_RDONLY;
  return plan;
}

}  // namespace

TEST_CASE("a bundle's filter decides as exec's filters do, for every profile and every call") {
  for (const seccomp::BuiltinProfile& builtin : seccomp::builtin_profiles()) {
    CAPTURE(builtin.name);
    const seccomp::Table table = table_of(builtin.json);
    CHECK(differences(filters_of(plan_with(&builtin), table), table, builtin.has_start_cookie) == 0);
  }
}

TEST_CASE("so does that of a sandbox which may write to the caller's files, with a profile and without one") {
  for (const seccomp::BuiltinProfile& builtin : seccomp::builtin_profiles()) {
    CAPTURE(builtin.name);
    plan::Plan plan = plan_with(&builtin);
    plan.filters.insert(plan.filters.begin(), seccomp::refuse_set_id_files());
    const seccomp::Table table = table_of(builtin.json);
    CHECK(differences(filters_of(plan, table), table, builtin.has_start_cookie) == 0);
  }
  plan::Plan plan = plan_with(nullptr);
  plan.filters.push_back(seccomp::refuse_set_id_files());
  CHECK(differences(filters_of(plan, std::nullopt), std::nullopt, false) == 0);
}

TEST_CASE("a plan without a filter gives none") {
  std::vector<std::string> not_expressed;
  CHECK(seccomp_json(plan_with(nullptr), std::nullopt, not_expressed)->empty());
  CHECK(not_expressed.empty());
}

TEST_CASE("boxes: what they answer is what was promised, and no two overlap") {
  using enum seccomp::Comparison;
  std::mt19937_64 random(2);
  int compared = 0;
  for (int round = 0; round < 300; ++round) {
    seccomp::Table table{.arch = seccomp::kNativeArch, .default_action = 38, .flags = 0, .by_number = {}, .unknown_syscalls = {}};
    seccomp::Answers& answers = table.by_number[1];
    answers.otherwise = static_cast<std::uint32_t>(random() % 3) + 37;
    for (std::uint64_t left = random() % 3; left > 0; --left) {
      seccomp::ConditionalAnswer& answer = answers.conditional.emplace_back();
      answer.action = static_cast<std::uint32_t>(random() % 3) + 37;
      for (std::uint64_t more = 1 + random() % 2; more > 0; --more) {
        seccomp::Condition condition{.index = static_cast<unsigned>(random() % 2),
                                     .comparison = static_cast<seccomp::Comparison>(random() % 7),
                                     .value = random() % 8,
                                     .value_two = 0,
                                     .low_half_only = false};
        if (condition.comparison == kMaskedEqual) condition.value_two = random() & condition.value;
        answer.conditions.push_back(condition);
      }
    }
    const auto boxes = boxes_of(answers, table.default_action);
    if (!boxes) continue;  // too many
    ++compared;
    for (std::uint64_t point = 0; point < 100; ++point) {
      const Args args{point % 10, point / 10, 0, 0, 0, 0};
      std::vector<std::uint32_t> found;
      for (const BoxedAnswer& one : *boxes)
        if ((args[0] & one.box.mask[0]) == one.box.value[0] && (args[1] & one.box.mask[1]) == one.box.value[1])
          found.push_back(one.action);
      if (found.size() > 1) FAIL("two boxes hold one point");
      if ((found.empty() ? table.default_action : found[0]) != seccomp::promised_answer(table, 1, args)) FAIL("another answer");
    }
  }
  CHECK(compared > 200);
}

TEST_CASE("conditions that no list of rules holds are an error") {
  seccomp::Answers answers{.conditional = {}, .otherwise = 1};
  std::vector<seccomp::Condition> conditions;
  for (unsigned index = 0; index < 6; ++index)
    conditions.push_back(
        {.index = index, .comparison = seccomp::Comparison::kNotEqual, .value = 0x5555, .value_two = 0, .low_half_only = false});
  answers.conditional.push_back({conditions, 2});
  const auto boxes = boxes_of(answers, 3);
  REQUIRE(!boxes);
  CHECK(boxes.error().kind == ErrorKind::kUnsupported);
}

TEST_CASE("root's bundle: root inside and the sandbox's user are two ids of the range, and owners on disk are the user") {
  const json config = config_of(small_plan(), {.first_host_id = 5000, .seccomp = {}, .root_entries = {}});
  const json expected = json::parse(R"([{"containerID":0,"hostID":5000,"size":1},{"containerID":1000,"hostID":5001,"size":1}])");
  CHECK(config["linux"]["uidMappings"] == expected);
  CHECK(config["linux"]["gidMappings"] == expected);
  CHECK(config["mounts"][0]["uidMappings"] == json::parse(R"([{"containerID":7,"hostID":5001,"size":1}])"));
  CHECK(config["mounts"][0]["gidMappings"] == json::parse(R"([{"containerID":8,"hostID":5001,"size":1}])"));
  CHECK(config["mounts"][0]["options"] == json::parse(R"(["rbind","rprivate","nosuid","rnosuid","ridmap"])"));
  CHECK(config["process"]["user"] == json::parse(R"({"uid":1000,"gid":1000,"umask":18})"));
  CHECK(config["linux"]["resources"]["devices"] == json::parse(R"([{"allow":false,"access":"rwm"}])"));
}

TEST_CASE("a user's bundle: one id, which is root inside, and that is said") {
  plan::Plan plan = small_plan();
  plan.change_identity = false;
  plan.ids.outside = plan::IdMaps::Outside::kOwn;
  plan.ids.uids = plan.ids.gids = {{1000, 1234, 1}};
  plan.operations[1].idmap.reset();
  const json config = config_of(plan, {});
  CHECK(config["linux"]["uidMappings"] == json::parse(R"([{"containerID":0,"hostID":1234,"size":1}])"));
  CHECK(config["process"]["user"]["uid"] == 0);
  CHECK(!config["linux"].contains("resources"));
  const std::string annotation = config["annotations"][kNotExpressedAnnotation];
  CHECK(annotation.find("--user 1000:1000") != std::string::npos);
}

TEST_CASE("the annotation is a list of what is not expressed") {
  plan::Plan plan = small_plan();
  plan.timeout = std::chrono::milliseconds(1500);
  plan.name = "x";
  plan.core_scheduling = true;
  plan.operations.pop_back();
  const auto bundle = to_bundle(plan, {});
  REQUIRE(bundle);
  const json config = json::parse(bundle->config);
  CHECK(json::parse(config["annotations"][kNotExpressedAnnotation].get<std::string>()) == json(bundle->not_expressed));
  for (const char* word : {"--timeout 1500ms", "--name x", "--core-sched", "--writable"})
    CHECK(std::ranges::any_of(bundle->not_expressed, [&](const std::string& line) { return line.starts_with(word); }));
}

TEST_CASE("limits") {
  plan::Plan plan = small_plan();
  plan.cgroup.emplace();
  plan.cgroup->place.v1.push_back({{"memory", "cpu", "pids", "io"}, "/m", "/m"});
  cgroup::Limits& limits = plan.cgroup->limits;
  limits.memory_bytes = 1000;
  limits.memory_swap_bytes = 0;
  limits.cpu_quota_us = 50'000;
  limits.cpu_weight = 200;
  limits.pids = cgroup::kUnlimited;
  limits.io_max.push_back({"8:16", 5, std::nullopt, cgroup::kUnlimited, 7});
  const json resources = config_of(plan, {})["linux"]["resources"];
  CHECK(resources["memory"] == json::parse(R"({"limit":1000,"swap":1000,"swappiness":0})"));
  CHECK(resources["cpu"] == json::parse(R"({"shares":2048,"quota":50000,"period":100000})"));
  CHECK(resources["pids"]["limit"] == -1);
  CHECK(resources["blockIO"] == json::parse(R"({"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":5}],
                                                "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":7}]})"));
  CHECK(!resources.contains("unified"));

  plan.cgroup->place.v2.controllers = {"memory", "cpu", "pids", "io"};
  plan.cgroup->place.v1.clear();
  limits.memory_high_bytes = 900;
  const json v2 =
      config_of(plan, {.first_host_id = 1, .seccomp = {}, .root_entries = {}, .counts_swap = true})["linux"]["resources"];
  CHECK(v2["unified"] == json::parse(R"({"memory.high":"900","cpu.weight":"200"})"));
  CHECK(!v2["memory"].contains("swappiness"));
}

TEST_CASE("what JSON cannot hold is an error, not another word") {
  plan::Plan plan = small_plan();
  plan.argv.emplace_back("\xff");
  const auto bundle = to_bundle(plan, {});
  REQUIRE(!bundle);
  CHECK(bundle.error().message.find("UTF-8") != std::string::npos);
}

}  // namespace clawrun::report
