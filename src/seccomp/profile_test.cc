#include "seccomp/profile.h"

#include <doctest/doctest.h>
#include <linux/seccomp.h>

#include <cerrno>

#include "seccomp/builtin.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

namespace {

std::string rule_json(const std::string& rest) {
  return R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO"},{"names":["write"],)" +
         rest + "}]}";
}

}  // namespace

TEST_CASE("a mistake in a profile is named by its path") {
  struct Row {
    std::string json;
    std::string_view message;
  };
  const std::string arg = R"("action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},)";
  const Row rows[] = {
      {"", "not JSON"},
      {"[1", "not JSON"},
      {"[]", "must be an object"},
      {"{}", "defaultAction: is missing"},
      {R"({"defaultAction":5})", "defaultAction: must be a string"},
      {R"({"defaultAction":"SCMP_ACT_ALOW"})",
       R"(defaultAction: "SCMP_ACT_ALOW" is not an action; did you mean "SCMP_ACT_ALLOW"?)"},
      {R"({"defaultAction":"SCMP_ACT_NOTIFY"})", "defaultAction: SCMP_ACT_NOTIFY needs a supervisor"},
      {R"({"defaultAction":"SCMP_ACT_TRACE"})", "defaultAction: SCMP_ACT_TRACE needs a tracer"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096})", "defaultErrnoRet: 4096 is more than"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1})", "defaultErrnoRet: must be a whole number"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EPREM"})", "defaultErrno: \"EPREM\" is not the name"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1})", "defaultErrnoRet: goes with SCMP_ACT_ERRNO only"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscals":[]})", R"(unknown key "syscals"; did you mean "syscalls"?)"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","defaultAction":"SCMP_ACT_ERRNO"})", "the key \"defaultAction\" stands twice"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"})", "listenerPath: is not supported"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}})", "syscalls: must be an array"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[3]})", "syscalls[0]: must be an object"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSINC"]})",
       "flags[0]: \"SECCOMP_FILTER_FLAG_TSINC\" is not a flag; did you"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_46"]})",
       "architectures[0]: \"SCMP_ARCH_X86_46\" is not an architecture; did you"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"subArchitectures":[]}]})", "archMap[0].architecture: is missing"},
      {rule_json(R"("action":"SCMP_ACT_KILL_PROC")"), "syscalls[1].action: \"SCMP_ACT_KILL_PROC\" is not an action"},
      {rule_json(R"("action":"SCMP_ACT_ALLOW","actoin":1)"), "syscalls[1]: unknown key \"actoin\"; did you mean \"action\"?"},
      {rule_json(R"("action":"SCMP_ACT_ALLOW","args":{})"), "syscalls[1].args: must be an array"},
      {rule_json(arg + R"({"index":6,"value":1,"op":"SCMP_CMP_EQ"}])"),
       "syscalls[1].args[1].index: 6 is more than the largest allowed value, 5"},
      {rule_json(arg + R"({"index":1,"value":"1","op":"SCMP_CMP_EQ"}])"), "syscalls[1].args[1].value: must be a whole number"},
      {rule_json(arg + R"({"index":1,"value":1.5,"op":"SCMP_CMP_EQ"}])"), "syscalls[1].args[1].value: must be a whole number"},
      {rule_json(arg + R"({"index":1,"value":1,"op":"SCMP_CMP_EG"}])"),
       "syscalls[1].args[1].op: \"SCMP_CMP_EG\" is not an operator; did you"},
      {rule_json(arg + R"({"index":1,"value":1}])"), "syscalls[1].args[1].op: is missing"},
      {rule_json(arg + R"({"index":1,"value":1,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}])"),
       "syscalls[1].args[1].valueTwo: has bits outside the mask"},
      {rule_json(R"("action":"SCMP_ACT_ALLOW","includes":{"minKernel":"new"})"),
       "syscalls[1].includes.minKernel: \"new\" is not a kernel version"},
      {rule_json(R"("action":"SCMP_ACT_ALLOW","excludes":{"cap":[]})"),
       "syscalls[1].excludes: unknown key \"cap\"; did you mean \"caps\"?"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_ALLOW"}]})",
       "syscalls[0].names: is empty"},
      {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read",1],"action":"SCMP_ACT_ALLOW"}]})",
       "syscalls[0].names[1]: must be a string"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    const auto profile = parse_profile(row.json);
    REQUIRE_FALSE(profile);
    CAPTURE(profile.error().message);
    CHECK(profile.error().kind == ErrorKind::kInvalid);
    CHECK(profile.error().message.starts_with(row.message));
  }
}

TEST_CASE("a huge or deep profile costs nothing") {
  CHECK_FALSE(parse_profile(std::string(kMaxProfileBytes + 1, ' ')));
  const auto deep = parse_profile(std::string(1000000, '['));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message.find("nests deeper") != std::string::npos);
  // Brackets in a string are text.
  CHECK(parse_profile(R"({"defaultAction":"SCMP_ACT_ALLOW","comment":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[["})"));
}

TEST_CASE("every action and null for what is left out") {
  struct Row {
    std::string_view name;
    std::uint32_t action;
  };
  const Row rows[] = {{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
                      {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
                      {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
                      {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
                      {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
                      {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
                      {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO | EPERM}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto profile =
        parse_profile(R"({"defaultAction":")" + std::string(row.name) + R"(","defaultErrnoRet":null,"syscalls":null})");
    REQUIRE(profile);
    CHECK(profile->default_action == row.action);
  }
  const auto podman = parse_profile(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"defaultErrno":"ENOTTY"})");
  REQUIRE(podman);
  CHECK(describe_action(podman->default_action) == "errno ENOTTY");
}

TEST_CASE("rules are chosen by architecture, kernel and capabilities; unknown names are collected") {
  const auto profile = parse_profile(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
    {"names":["read","no_such_call","no_such_call"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64"]}},
    {"names":["write"],"action":"SCMP_ACT_ALLOW","excludes":{"arches":["amd64"]}},
    {"names":["bpf"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_BPF"]}},
    {"names":["close"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}},
    {"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
    {"names":["arch_prctl"],"action":"SCMP_ACT_ALLOW"}]})");
  REQUIRE(profile);
  const auto allowed = [&](const Target& target, const char* name) {
    const auto table = make_table(*profile, target);
    const auto found = syscall_number(target.arch, name);
    const std::uint64_t args[6] = {};
    return table && found.status == NameStatus::kKnown && promised_answer(*table, found.number, args) == SECCOMP_RET_ALLOW;
  };
  const Target amd64{Arch::kX86_64, 6, 1};
  const Target arm64{Arch::kAarch64, 4, 7};
  CHECK(allowed(amd64, "read"));
  CHECK_FALSE(allowed(arm64, "read"));
  CHECK_FALSE(allowed(amd64, "write"));
  CHECK(allowed(arm64, "write"));
  CHECK_FALSE(allowed(amd64, "bpf"));
  CHECK(allowed(amd64, "close"));
  CHECK(allowed(amd64, "ptrace"));
  CHECK_FALSE(allowed(arm64, "ptrace"));
  CHECK(allowed(amd64, "arch_prctl"));
  CHECK(make_table(*profile, amd64)->unknown_syscalls == std::vector<std::string>{"no_such_call"});
  CHECK(syscall_number(Arch::kAarch64, "arch_prctl").status == NameStatus::kAbsent);
}

TEST_CASE("names and numbers agree in both directions") {
  for (const Arch arch : {Arch::kX86_64, Arch::kAarch64}) {
    for (int number = 0; number < 600; ++number) {
      const std::string name = syscall_name(arch, number);
      if (name.empty()) continue;
      CAPTURE(name);
      CHECK(syscall_number(arch, name).number == number);
    }
  }
  CHECK(syscall_name(Arch::kX86_64, 462) == "mseal");
  CHECK(syscall_number(Arch::kX86_64, std::string_view("read\0x", 6)).status == NameStatus::kUnknown);
}

}  // namespace clawrun::seccomp
