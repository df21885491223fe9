// The programs against libseccomp's own, built from the same rules in the way of runc.
#include <doctest/doctest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>

#include "base/unique_fd.h"
#include "oci/seccomp.h"
#include "oci/seccomp_arch.h"
#include "oci/seccomp_rules.h"
#include "seccomp/cache.h"
#include "seccomp/interpret.h"

namespace clawrun::oci {

namespace {

using Program = std::vector<sock_filter>;
using Args = std::array<std::uint64_t, 6>;
using nlohmann::json;

constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kSocketcall = 102;
constexpr std::uint32_t kIpc = 117;

Seccomp real_profile(const std::string& name) {
  const auto text = seccomp::read_profile_file(std::string(CLAWRUN_SOURCE_DIR) + "/src/oci/testdata/seccomp-" + name + ".json");
  REQUIRE(text);
  const json value = json::parse(*text);
  Seccomp config;
  config.default_action = value.at("defaultAction");
  if (value.contains("defaultErrnoRet")) config.default_errno_ret = value.at("defaultErrnoRet");
  config.architectures = value.at("architectures");
  for (const json& rule : value.at("syscalls")) {
    Syscall call;
    call.names = rule.at("names");
    call.action = rule.at("action");
    if (rule.contains("errnoRet")) call.errno_ret = rule.at("errnoRet");
    for (const json& arg : rule.value("args", json::array()))
      call.args.push_back({arg.at("index"), arg.at("value"), arg.value("valueTwo", std::uint64_t{0}), arg.at("op")});
    config.syscalls.push_back(std::move(call));
  }
  return config;
}

scmp_compare operator_of(seccomp::Comparison comparison) {
  switch (comparison) {
    case seccomp::Comparison::kNotEqual:
      return SCMP_CMP_NE;
    case seccomp::Comparison::kLess:
      return SCMP_CMP_LT;
    case seccomp::Comparison::kLessOrEqual:
      return SCMP_CMP_LE;
    case seccomp::Comparison::kEqual:
      return SCMP_CMP_EQ;
    case seccomp::Comparison::kGreaterOrEqual:
      return SCMP_CMP_GE;
    case seccomp::Comparison::kGreater:
      return SCMP_CMP_GT;
    case seccomp::Comparison::kMaskedEqual:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

Program program_of_libseccomp(const Seccomp& config, std::span<const SeccompArch> arches) {
  const std::uint32_t default_action = *seccomp_action(config.default_action, config.default_errno_ret, "");
  const std::unique_ptr<void, decltype(&seccomp_release)> context(seccomp_init(default_action), &seccomp_release);
  REQUIRE(context);
  REQUIRE(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0);
  for (const SeccompArch& arch : arches) {
    const int added = seccomp_arch_add(context.get(), arch.libseccomp);
    REQUIRE((added == 0 || added == -EEXIST));
  }
  const auto rules = seccomp_rules(config);
  REQUIRE(rules);
  for (const SeccompRule& rule : *rules) {
    if (rule.action == default_action) continue;
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      if (rule.alternatives.empty()) REQUIRE(seccomp_rule_add_array(context.get(), rule.action, number, 0, nullptr) == 0);
      for (const auto& conditions : rule.alternatives) {
        std::vector<scmp_arg_cmp> compared;
        for (const auto& condition : conditions)
          compared.push_back({condition.index, operator_of(condition.comparison), condition.value, condition.value_two});
        // -EEXIST: shadowed by a rule of another action.
        const int added =
            seccomp_rule_add_array(context.get(), rule.action, number, static_cast<unsigned>(compared.size()), compared.data());
        REQUIRE((added == 0 || added == -EEXIST));
      }
    }
  }
  const UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  REQUIRE(seccomp_export_bpf(context.get(), file.get()) == 0);
  Program program(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_CUR)) / sizeof(sock_filter));
  const auto bytes = static_cast<ssize_t>(program.size() * sizeof(sock_filter));
  REQUIRE(pread(file.get(), program.data(), static_cast<std::size_t>(bytes), 0) == bytes);
  return program;
}

seccomp_data call(const SeccompArch& arch, std::uint32_t number, const Args& args) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = arch.audit_arch;
  std::ranges::copy(args, data.args);
  return data;
}

std::uint32_t ours(const SeccompPrograms& programs, const seccomp_data& data) {
  std::uint32_t strictest = SECCOMP_RET_ALLOW;
  for (auto program = programs.programs.rbegin(); program != programs.programs.rend(); ++program) {
    const auto answer = seccomp::run_filter(*program, data);
    REQUIRE(answer);
    if (seccomp::is_stricter(*answer, strictest)) strictest = *answer;
  }
  return strictest;
}

// All that a profile says about one number, as the specification of compile_seccomp reads.
struct Sayings {
  std::optional<std::uint32_t> unconditional;
  std::vector<std::pair<std::vector<seccomp::Condition>, std::uint32_t>> conditional;
};

struct Model {
  std::uint32_t default_action = 0;
  std::map<std::uint32_t, Sayings> by_number;
  std::optional<std::uint32_t> enosys_above;

  Model(const std::vector<SeccompRule>& rules, std::uint32_t otherwise, const SeccompArch& arch) : default_action(otherwise) {
    std::optional<std::uint32_t> highest;
    for (const SeccompRule& rule : rules)
      for (const std::string& name : rule.names) {
        const auto number = call_numbers(arch, name).direct;
        if (!number) continue;
        highest = std::max(highest.value_or(0), *number);
        if (rule.action == otherwise) continue;
        Sayings& sayings = by_number[*number];
        if (rule.alternatives.empty() && !sayings.unconditional) sayings.unconditional = rule.action;
        for (auto conditions : rule.alternatives) {
          for (auto& condition : conditions)
            if (arch.low_half_only) {
              condition.value = static_cast<std::uint32_t>(condition.value);
              condition.value_two = static_cast<std::uint32_t>(condition.value_two);
            }
          sayings.conditional.emplace_back(conditions, rule.action);
        }
      }
    const std::uint32_t kind = otherwise & SECCOMP_RET_ACTION_FULL;
    if (kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE) enosys_above = highest;
  }

  // The actions of the rules that hold; the default where none does.
  std::vector<std::uint32_t> possible(std::uint32_t number, Args args, const SeccompArch& arch) const {
    if (enosys_above && number > *enosys_above) return {kEnosys};
    const auto found = by_number.find(number);
    if (found == by_number.end()) return {default_action};
    if (found->second.unconditional) return {*found->second.unconditional};
    if (arch.low_half_only)
      for (std::uint64_t& arg : args) arg &= UINT32_MAX;
    std::vector<std::uint32_t> actions;
    for (const auto& [conditions, action] : found->second.conditional)
      if (std::ranges::all_of(conditions, [&](const auto& condition) { return seccomp::holds(condition, args); }))
        actions.push_back(action);
    if (actions.empty()) actions.push_back(default_action);
    return actions;
  }
};

std::uint32_t strictest_of(const std::vector<std::uint32_t>& actions) {
  std::uint32_t strictest = actions[0];
  for (const std::uint32_t action : actions)
    if (seccomp::is_stricter(action, strictest)) strictest = action;
  return strictest;
}

// Arguments at and around the values that are compared with, in all mixtures that chance brings.
std::vector<Args> telling_arguments(const Model& model, std::uint32_t number, std::mt19937_64& random) {
  std::vector<Args> all{{}};
  const auto found = model.by_number.find(number);
  if (found == model.by_number.end() || found->second.conditional.empty()) {
    all.push_back({random(), random(), random(), random(), random(), random()});
    return all;
  }
  std::array<std::vector<std::uint64_t>, 6> values;
  for (auto& list : values) list = {0, 1, UINT64_MAX, UINT32_MAX};
  for (const auto& [conditions, action] : found->second.conditional)
    for (const auto& condition : conditions)
      for (const std::uint64_t value : {condition.value, condition.value_two})
        for (const std::uint64_t near : {value - 1, value, value + 1, value | (std::uint64_t{1} << 40U), value & UINT32_MAX})
          values[condition.index].push_back(near);
  for (int i = 0; i < 60; ++i) {
    Args args{};
    for (std::size_t j = 0; j < args.size(); ++j) args[j] = values[j][random() % values[j].size()];
    all.push_back(args);
  }
  return all;
}

bool is_multiplexer(const SeccompArch& arch, std::uint32_t number) {
  return arch.has_multiplexed_calls && (number == kSocketcall || number == kIpc);
}

struct Tally {
  std::size_t compared = 0;
  std::size_t conflicts = 0;  // rules of different actions hold; libseccomp takes one by an order of its own
  std::size_t differing = 0;  // all rules that hold agree, and libseccomp answers something else
};

struct CompareOptions {
  bool may_differ = false;
  bool model_only = false;
};

void compare(const Seccomp& config, std::mt19937_64& random, Tally& tally, const CompareOptions& options = {}) {
  const auto programs = compile_seccomp(config);
  if (!programs) FAIL(programs.error().message);
  const auto arches = listed_arches(config.architectures, seccomp::kNativeArch);
  REQUIRE(arches);
  const Program theirs = options.model_only ? Program{} : program_of_libseccomp(config, *arches);
  const auto rules = seccomp_rules(config);
  const std::uint32_t default_action = *seccomp_action(config.default_action, config.default_errno_ret, "");
  for (const SeccompArch& arch : *arches) {
    const Model model(*rules, default_action, arch);
    for (std::uint32_t n = 0; n < 600; ++n) {
      const std::uint32_t number = arch.first_number + n;
      const bool muxed = is_multiplexer(arch, number) && !model.possible(number, {}, arch).empty() &&
                         !(model.by_number.contains(number) && model.by_number.at(number).unconditional);
      if (muxed) continue;
      for (const Args& args : telling_arguments(model, number, random)) {
        const seccomp_data data = call(arch, number, args);
        const std::uint32_t mine = ours(*programs, data);
        const std::vector<std::uint32_t> possible = model.possible(number, args, arch);
        INFO(arch.name, " ", number, " ", args[0], " ", args[1], " ", args[2]);
        if (mine != strictest_of(possible)) CHECK(mine == strictest_of(possible));
        ++tally.compared;
        if (options.model_only) continue;
        if (model.enosys_above && number > *model.enosys_above) continue;  // runc's addition, not libseccomp's
        const std::uint32_t yours = *seccomp::run_filter(theirs, data);
        if (mine == yours) continue;
        const bool agree = std::ranges::adjacent_find(possible, std::not_equal_to<>()) == possible.end();
        if (agree) {
          ++tally.differing;
          if (!options.may_differ) CHECK(mine == yours);
        } else {
          ++tally.conflicts;
        }
      }
    }
  }
}

std::string pick(std::mt19937_64& random, std::initializer_list<const char*> words) {
  return *(words.begin() + random() % words.size());
}

// What libseccomp is sure to answer as the specification of compile_seccomp says: see the test cases.
struct Shape {
  std::size_t actions = 1;       // of the rules
  std::uint64_t conditions = 1;  // of a rule, at most
  std::uint64_t rules = 14;      // at most
};

SyscallArg random_argument(std::mt19937_64& random) {
  constexpr std::uint64_t kValues[] = {0, 1, 2, 3, 7, 0x7fff'ffff, 0x8000'0000, UINT32_MAX};
  return {.index = static_cast<std::uint32_t>(random() % 4),
          .value = kValues[random() % std::size(kValues)],
          .value_two = kValues[random() % std::size(kValues)],
          .op = pick(random, {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                              "SCMP_CMP_MASKED_EQ"})};
}

Syscall random_rule(std::mt19937_64& random, const Shape& shape) {
  constexpr const char* kActions[] = {"SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"};
  Syscall rule;
  for (std::uint64_t i = 1 + random() % 4; i > 0; --i)
    rule.names.push_back(pick(random, {"read", "open", "ioctl", "mmap", "mmap2", "fcntl", "fcntl64", "clone", "personality",
                                       "prctl", "rt_sigaction", "execve", "ptrace", "openat2", "futex_waitv", "no_such_call"}));
  rule.action = kActions[random() % shape.actions];
  if (rule.action == "SCMP_ACT_ERRNO") rule.errno_ret = random() % 3;
  for (std::uint64_t i = random() % (shape.conditions + 1); i > 0; --i) {
    const SyscallArg arg = random_argument(random);
    if (std::ranges::find(rule.args, arg.index, &SyscallArg::index) == rule.args.end()) rule.args.push_back(arg);
  }
  return rule;
}

Seccomp random_profile(std::mt19937_64& random, const Shape& shape) {
  Seccomp config;
  config.default_action = pick(random, {"SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"});
  if (random() % 2 == 0) config.default_errno_ret = 50 + random() % 50;
  for (const char* arch : {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"})
    if (random() % 2 == 0) config.architectures.emplace_back(arch);
  for (std::uint64_t i = random() % shape.rules; i > 0; --i) config.syscalls.push_back(random_rule(random, shape));
  return config;
}

}  // namespace

TEST_CASE("random profiles with one condition in a rule: as libseccomp, all of them") {
  std::mt19937_64 random(11);
  Tally tally;
  for (int i = 0; i < 30; ++i) {
    CAPTURE(i);
    compare(random_profile(random, {.actions = 1, .conditions = 1, .rules = 14}), random, tally);
  }
  CHECK(tally.differing == 0);
  CHECK(tally.conflicts == 0);
}

// Where rules with several conditions overlap, libseccomp's tree goes wrong now and then: for "arg3 > 2 and arg0 != 3" beside
// "arg0 > 0" it answers the action for arguments of which neither is true. The model decides.
// (More of them it does not compile in any time.)
TEST_CASE("random profiles with several conditions in a rule: as the model, and mostly as libseccomp") {
  std::mt19937_64 random(12);
  Tally tally;
  for (int i = 0; i < 30; ++i) {
    CAPTURE(i);
    compare(random_profile(random, {.actions = 1, .conditions = 2, .rules = 6}), random, tally, {.may_differ = true});
  }
  CHECK(tally.conflicts == 0);
  CHECK(tally.differing < tally.compared / 100);
}

// Rules of different actions that hold together have no order in the specification.
TEST_CASE("random profiles with several actions: the strictest of the rules that hold") {
  std::mt19937_64 random(13);
  Tally tally;
  for (int i = 0; i < 40; ++i) {
    CAPTURE(i);
    compare(random_profile(random, {.actions = 4, .conditions = 4, .rules = 40}), random, tally, {.model_only = true});
  }
  CHECK(tally.compared > 40 * 600);
}

TEST_CASE("real profiles: every call of every architecture is answered as libseccomp answers") {
  std::mt19937_64 random(7);
  for (const char* name : {"podman5", "podman4", "buildah", "docker20", "docker26"}) {
    CAPTURE(name);
    Tally tally;
    compare(real_profile(name), random, tally);
    CHECK(tally.compared > 3500);
    CHECK(tally.differing == 0);
    CHECK(tally.conflicts == 0);
  }
}

}  // namespace clawrun::oci
