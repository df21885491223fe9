#include "oci/seccomp.h"

#include <doctest/doctest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "oci/seccomp_arch.h"
#include "oci/seccomp_rules.h"
#include "seccomp/interpret.h"

namespace clawrun::oci {

namespace {

using Args = std::array<std::uint64_t, 6>;

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kKillThread = SECCOMP_RET_KILL_THREAD;
constexpr std::uint32_t refused(std::uint32_t errno_value) {
  return SECCOMP_RET_ERRNO | errno_value;
}

constexpr SeccompOptions kX86{.native = seccomp::Arch::kX86_64};
constexpr SeccompOptions kArm{.native = seccomp::Arch::kAarch64};

Seccomp profile(std::string default_action, std::vector<Syscall> syscalls, std::vector<std::string> architectures = {}) {
  Seccomp config;
  config.default_action = std::move(default_action);
  config.syscalls = std::move(syscalls);
  config.architectures = std::move(architectures);
  return config;
}

Syscall rule(std::vector<std::string> names, std::string action, std::vector<SyscallArg> args = {},
             std::optional<std::uint32_t> errno_ret = {}) {
  return {.names = std::move(names), .action = std::move(action), .errno_ret = errno_ret, .args = std::move(args)};
}

SyscallArg arg(std::uint32_t index, std::string op, std::uint64_t value, std::uint64_t value_two = 0) {
  return {.index = index, .value = value, .value_two = value_two, .op = std::move(op)};
}

SeccompPrograms compiled(const Seccomp& config, const SeccompOptions& options = kX86) {
  auto programs = compile_seccomp(config, options);
  if (!programs) FAIL(programs.error().message);
  return *programs;
}

std::string error_of(const Seccomp& config, const SeccompOptions& options = kX86) {
  const auto programs = compile_seccomp(config, options);
  return programs ? "" : programs.error().message;
}

std::uint32_t ask(const SeccompPrograms& programs, std::uint32_t number, const Args& args = {},
                  std::uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  std::ranges::copy(args, data.args);
  seccomp::Compiled all;
  all.filters = programs.programs;
  const auto answer = seccomp::decide(all, data);
  REQUIRE(answer);
  return *answer;
}

constexpr std::uint32_t kX32 = seccomp::kX32Bit;

}  // namespace

TEST_CASE("every action, with and without errnoRet") {
  struct Row {
    const char* action;
    std::optional<std::uint32_t> errno_ret;
    std::uint32_t answer;
  };
  for (const Row& row :
       {Row{"SCMP_ACT_KILL", {}, kKillThread}, Row{"SCMP_ACT_KILL_THREAD", {}, kKillThread},
        Row{"SCMP_ACT_KILL_PROCESS", {}, SECCOMP_RET_KILL_PROCESS}, Row{"SCMP_ACT_TRAP", {}, SECCOMP_RET_TRAP},
        Row{"SCMP_ACT_ERRNO", {}, refused(EPERM)}, Row{"SCMP_ACT_ERRNO", 38, refused(38)}, Row{"SCMP_ACT_ERRNO", 0, refused(0)},
        Row{"SCMP_ACT_ERRNO", 4095, refused(4095)}, Row{"SCMP_ACT_TRACE", {}, SECCOMP_RET_TRACE | EPERM},
        Row{"SCMP_ACT_TRACE", 65535, SECCOMP_RET_TRACE | 65535}, Row{"SCMP_ACT_LOG", {}, SECCOMP_RET_LOG},
        Row{"SCMP_ACT_LOG", 5, SECCOMP_RET_LOG}, Row{"SCMP_ACT_NOTIFY", {}, SECCOMP_RET_USER_NOTIF}}) {
    CAPTURE(row.answer);
    const auto programs = compiled(profile("SCMP_ACT_ALLOW", {rule({"read"}, row.action, {}, row.errno_ret)}));
    CHECK(ask(programs, 0) == row.answer);
    CHECK(ask(programs, 1) == kAllow);
    CHECK(programs.notify == (row.answer == SECCOMP_RET_USER_NOTIF));
  }
  Seccomp config = profile("SCMP_ACT_ERRNO", {});
  config.default_errno_ret = 99;
  CHECK(ask(compiled(config), 0) == refused(99));
  CHECK(compiled(profile("", {})).programs.empty());
}

TEST_CASE("what cannot be compiled is named by its path") {
  CHECK(error_of(profile("SCMP_ACT_ALOW", {})) ==
        "linux.seccomp.defaultAction: string SCMP_ACT_ALOW is not a valid action for seccomp; did you mean \"SCMP_ACT_ALLOW\"?");
  CHECK(error_of(profile("", {rule({"read"}, "SCMP_ACT_ALLOW")})).starts_with("linux.seccomp.defaultAction: "));
  CHECK(error_of(profile("SCMP_ACT_NOTIFY", {})) ==
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
  const Syscall good = rule({"read"}, "SCMP_ACT_ERRNO");
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {good, rule({"read", "write"}, "SCMP_ACT_NOTIFY")})) ==
        "linux.seccomp.syscalls[1].action: SCMP_ACT_NOTIFY cannot be used for the write syscall");
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {good, rule({"read"}, "SCMP_ACT_ERRNO", {}, 4096)}))
            .starts_with("linux.seccomp.syscalls[1].action: errnoRet 4096"));
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {good, rule({"read", ""}, "SCMP_ACT_ERRNO")})) ==
        "linux.seccomp.syscalls[1].names[1]: empty string is not a valid syscall");
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {rule({"read"}, "SCMP_ACT_ERRNO", {arg(6, "SCMP_CMP_EQ", 1)})}))
            .starts_with("linux.seccomp.syscalls[0].args[0].index: "));
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {rule({"read"}, "SCMP_ACT_ERRNO", {arg(0, "EQ", 1)})}))
            .starts_with("linux.seccomp.syscalls[0].args[0].op: string EQ is not a valid operator for seccomp"));
  CHECK(error_of(profile("SCMP_ACT_ALLOW", {}, {"SCMP_ARCH_X86_64", "amd64"}))
            .starts_with("linux.seccomp.architectures[1]: string amd64 is not a valid arch for seccomp"));
  Seccomp flags = profile("SCMP_ACT_ALLOW", {});
  flags.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  CHECK(error_of(flags).starts_with("linux.seccomp.flags[0]: seccomp flag \"SECCOMP_FILTER_FLAG_NEW_LISTENER\" is not known"));
  // Terminal escapes do not come through.
  CHECK(error_of(profile("\x1b[31m", {})).find('\x1b') == std::string::npos);
}

TEST_CASE("names that no kernel has are ignored and listed, or refused where that is asked for") {
  const Seccomp config = profile("SCMP_ACT_ERRNO", {rule({"read", "frob", "frob", "arm_sync_file_range"}, "SCMP_ACT_ALLOW"),
                                                    rule({std::string("read\0x", 6)}, "SCMP_ACT_ALLOW")});
  const auto programs = compiled(config);
  CHECK(ask(programs, 0) == kAllow);
  CHECK(programs.unknown_syscalls == std::vector<std::string>{"frob", std::string("read\0x", 6)});
  SeccompOptions strict = kX86;
  strict.fail_unknown_syscall = true;
  CHECK(error_of(config, strict) == "linux.seccomp.syscalls[0].names[1]: unknown seccomp syscall frob");
}

TEST_CASE("architectures: listed ones by their own numbers, others are killed") {
  const std::vector<Syscall> rules{rule({"getpid", "rt_sigaction", "set_tls"}, "SCMP_ACT_ERRNO", {}, 7)};
  const auto all =
      compiled(profile("SCMP_ACT_ALLOW", rules, {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_S390X"}));
  CHECK(ask(all, 39) == refused(7));
  CHECK(ask(all, 20, {}, AUDIT_ARCH_I386) == refused(7));
  CHECK(ask(all, 39, {}, AUDIT_ARCH_I386) == kAllow);
  CHECK(ask(all, kX32 + 39) == refused(7));
  CHECK(ask(all, kX32 + 512) == refused(7));
  CHECK(ask(all, kX32 + 13) == kAllow);  // x86_64's rt_sigaction
  CHECK(ask(all, UINT32_MAX) == kAllow);
  CHECK(ask(all, 39, {}, AUDIT_ARCH_AARCH64) == kKillThread);
  CHECK(ask(all, 39, {}, AUDIT_ARCH_S390X) == kKillThread);

  // The native one is always there.
  for (const auto& list : {std::vector<std::string>{}, {"SCMP_ARCH_X86_64"}, {"SCMP_ARCH_MIPS"}, {"SCMP_ARCH_NATIVE"}}) {
    const auto native = compiled(profile("SCMP_ACT_ALLOW", rules, list));
    CHECK(ask(native, 39) == refused(7));
    CHECK(ask(native, 20, {}, AUDIT_ARCH_I386) == kKillThread);
    CHECK(ask(native, kX32 + 1) == kKillThread);
    CHECK(ask(native, UINT32_MAX) == kAllow);
    CHECK(ask(native, UINT32_MAX - 1) == kKillThread);
  }

  const auto arm = compiled(profile("SCMP_ACT_ALLOW", rules, {"SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"}), kArm);
  CHECK(ask(arm, 172, {}, AUDIT_ARCH_AARCH64) == refused(7));
  CHECK(ask(arm, 20, {}, AUDIT_ARCH_ARM) == refused(7));
  CHECK(ask(arm, 0xf0005, {}, AUDIT_ARCH_ARM) == refused(7));
  CHECK(ask(arm, 39) == kKillThread);
  CHECK(ask(arm, kX32 + 39, {}, AUDIT_ARCH_AARCH64) == kAllow);
}

TEST_CASE("calls newer than the profile do not exist, where the default action refuses") {
  const std::vector<Syscall> rules{rule({"read", "statx"}, "SCMP_ACT_ALLOW"), rule({"clone3"}, "SCMP_ACT_LOG")};
  const std::vector<std::string> three{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  for (const char* action : {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"}) {
    const auto programs = compiled(profile(action, rules, three));
    const std::uint32_t otherwise = *seccomp_action(action, {}, "");
    CHECK(ask(programs, 1) == otherwise);
    CHECK(ask(programs, 434) == otherwise);
    CHECK(ask(programs, 435) == SECCOMP_RET_LOG);
    for (const std::uint32_t number : {436U, 600U, kX32 - 1, kX32 + 436, UINT32_MAX})
      CHECK(ask(programs, number) == refused(ENOSYS));
    CHECK(ask(programs, 436, {}, AUDIT_ARCH_I386) == refused(ENOSYS));
    CHECK(ask(programs, kX32 + 434) == otherwise);
    // An x32 number is that of another architecture where it is not listed.
    const auto alone = compiled(profile(action, rules));
    CHECK(ask(alone, 436) == refused(ENOSYS));
    CHECK(ask(alone, kX32 + 436) == kKillThread);
    CHECK(ask(alone, UINT32_MAX) == otherwise);
  }
  for (const char* action : {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"})
    CHECK(ask(compiled(profile(action, rules, three)), 436) == *seccomp_action(action, {}, ""));
  // A call that is named with the default action counts as known. Without any name nothing is.
  CHECK(ask(compiled(profile("SCMP_ACT_ERRNO", {rule({"openat2"}, "SCMP_ACT_ERRNO")})), 437) == refused(EPERM));
  CHECK(ask(compiled(profile("SCMP_ACT_ERRNO", {})), 437) == refused(EPERM));
}

TEST_CASE("several rules for one call") {
  const auto answer = [](std::vector<Syscall> rules, const Args& args) {
    return ask(compiled(profile("SCMP_ACT_ERRNO", std::move(rules))), 16, args);
  };
  const auto ioctl = [](std::string action, std::vector<SyscallArg> args = {}, std::optional<std::uint32_t> errno_ret = {}) {
    return rule({"ioctl"}, std::move(action), std::move(args), errno_ret);
  };
  // The first without conditions, alone.
  CHECK(answer({ioctl("SCMP_ACT_KILL", {arg(0, "SCMP_CMP_EQ", 1)}), ioctl("SCMP_ACT_ALLOW"), ioctl("SCMP_ACT_LOG")}, {1}) ==
        kAllow);
  // One that says what the default action says anyway is not there.
  CHECK(answer({ioctl("SCMP_ACT_ERRNO"), ioctl("SCMP_ACT_ALLOW")}, {}) == kAllow);
  CHECK(answer({ioctl("SCMP_ACT_ERRNO", {}, 1), ioctl("SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_EQ", 1)})}, {1}) == kAllow);
  CHECK(answer({ioctl("SCMP_ACT_ERRNO", {}, 2), ioctl("SCMP_ACT_ALLOW")}, {}) == refused(2));
  // Of those that hold the strictest; among equals the first.
  CHECK(answer({ioctl("SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_EQ", 1)}), ioctl("SCMP_ACT_KILL", {arg(1, "SCMP_CMP_EQ", 2)})},
               {1, 2}) == kKillThread);
  CHECK(answer({ioctl("SCMP_ACT_ERRNO", {arg(0, "SCMP_CMP_EQ", 1)}, 5), ioctl("SCMP_ACT_ERRNO", {arg(1, "SCMP_CMP_EQ", 2)}, 6)},
               {1, 2}) == refused(5));
  // Two comparisons of one argument: alternatives, and so are all of the rule's.
  const auto either = ioctl("SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2), arg(1, "SCMP_CMP_EQ", 3)});
  CHECK(answer({either}, {1}) == kAllow);
  CHECK(answer({either}, {2}) == kAllow);
  CHECK(answer({either}, {9, 3}) == kAllow);
  CHECK(answer({either}, {9, 9}) == refused(EPERM));
  // Bits of valueTwo outside the mask are of no account; an empty mask compares nothing.
  CHECK(answer({ioctl("SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_MASKED_EQ", 1, 3)})}, {1}) == kAllow);
  CHECK(answer({ioctl("SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_MASKED_EQ", 0, 3)})}, {7}) == kAllow);
}

TEST_CASE("arguments: 64 bits wide, of x32 and i386 only the low half") {
  const std::vector<std::string> three{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  constexpr std::uint64_t kHigh = std::uint64_t{1} << 32U;
  const auto programs =
      compiled(profile("SCMP_ACT_ALLOW", {rule({"ioctl"}, "SCMP_ACT_KILL", {arg(1, "SCMP_CMP_EQ", UINT64_MAX)})}, three));
  CHECK(ask(programs, 16, {0, UINT64_MAX}) == kKillThread);
  CHECK(ask(programs, 16, {0, UINT32_MAX}) == kAllow);
  CHECK(ask(programs, 54, {0, UINT32_MAX}, AUDIT_ARCH_I386) == kKillThread);
  CHECK(ask(programs, kX32 + 514, {0, kHigh | UINT32_MAX}) == kKillThread);
  CHECK(ask(programs, kX32 + 514, {0, kHigh}) == kAllow);
}

TEST_CASE("i386: socketcall and ipc follow the rules for what they stand for") {
  const std::vector<std::string> archs{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
  const auto i386 = [](const SeccompPrograms& programs, std::uint32_t number, std::uint64_t call) {
    return ask(programs, number, {call}, AUDIT_ARCH_I386);
  };
  const auto allowed =
      compiled(profile("SCMP_ACT_ERRNO", {rule({"socket", "accept", "semop", "shmget"}, "SCMP_ACT_ALLOW")}, archs));
  CHECK(i386(allowed, 102, 1) == kAllow);
  CHECK(i386(allowed, 102, 5) == kAllow);
  CHECK(i386(allowed, 102, 2) == refused(EPERM));
  CHECK(i386(allowed, 359, 0) == kAllow);
  CHECK(i386(allowed, 395, 0) == kAllow);
  CHECK(i386(allowed, 117, 1) == kAllow);
  CHECK(i386(allowed, 117, 0x1'0000 | 23) == kAllow);  // a version in the upper half
  CHECK(i386(allowed, 117, 2) == refused(EPERM));

  // A condition cannot be looked at, so nothing is allowed by it …
  const auto some = compiled(profile("SCMP_ACT_ERRNO", {rule({"socket"}, "SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_NE", 40)})}, archs));
  CHECK(i386(some, 102, 1) == refused(EPERM));
  CHECK(i386(some, 359, 1) == kAllow);
  CHECK(i386(some, 359, 40) == refused(EPERM));
  // … and whatever might be refused is.
  const auto denied =
      compiled(profile("SCMP_ACT_ALLOW", {rule({"socket"}, "SCMP_ACT_ERRNO", {arg(0, "SCMP_CMP_EQ", 38)}, 97)}, archs));
  CHECK(i386(denied, 102, 1) == refused(97));
  CHECK(i386(denied, 102, 3) == kAllow);
  CHECK(i386(denied, 359, 1) == kAllow);
  // Its own rule without conditions counts alone.
  const auto own =
      compiled(profile("SCMP_ACT_ERRNO", {rule({"socket"}, "SCMP_ACT_KILL"), rule({"socketcall"}, "SCMP_ACT_ALLOW")}, archs));
  CHECK(i386(own, 102, 1) == kAllow);
  CHECK(i386(own, 359, 1) == kKillThread);
}

TEST_CASE("flags") {
  Seccomp config = profile("SCMP_ACT_ALLOW", {rule({"read"}, "SCMP_ACT_ERRNO")});
  CHECK(compiled(config).flags == SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  SeccompOptions old_kernel = kX86;
  old_kernel.kernel_flags = SECCOMP_FILTER_FLAG_TSYNC;
  CHECK(compiled(config, old_kernel).flags == 0);
  config.flags_given = true;
  CHECK(compiled(config).flags == 0);
  config.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  CHECK(compiled(config).flags == SECCOMP_FILTER_FLAG_LOG);
  CHECK(compiled(config).listener_flags == 0);
  CHECK(error_of(config, old_kernel) ==
        "linux.seccomp.flags[0]: seccomp flag \"SECCOMP_FILTER_FLAG_LOG\" is not supported by this kernel");
  config.syscalls.push_back(rule({"mount"}, "SCMP_ACT_NOTIFY"));
  CHECK(compiled(config).flags == SECCOMP_FILTER_FLAG_LOG);
  CHECK(compiled(config).listener_flags == (SECCOMP_FILTER_FLAG_NEW_LISTENER | kSeccompListenerFlags));
}

TEST_CASE("a profile that outgrows one program: several, and the one that decides seccomp(2) last") {
  std::vector<Syscall> rules;
  for (std::uint64_t i = 0; i < 900; ++i) {
    const std::string name = i % 3 == 0 ? "seccomp" : (i % 3 == 1 ? "read" : "openat2");
    rules.push_back(
        rule({name}, "SCMP_ACT_ERRNO", {arg(0, "SCMP_CMP_EQ", i), arg(1, "SCMP_CMP_GT", i)}, static_cast<std::uint32_t>(i)));
  }
  const Seccomp config = profile("SCMP_ACT_LOG", rules);
  const auto programs = compiled(config);
  REQUIRE(programs.programs.size() > 1);
  for (const auto& program : programs.programs) CHECK(program.size() <= BPF_MAXINSNS);
  for (std::uint64_t i = 0; i < 900; ++i) {
    const std::uint32_t number = i % 3 == 0 ? 317 : (i % 3 == 1 ? 0 : 437);
    CHECK(ask(programs, number, {i, i + 1}) == refused(static_cast<std::uint32_t>(i)));
    CHECK(ask(programs, number, {i, i}) == SECCOMP_RET_LOG);
  }
  CHECK(ask(programs, 5) == SECCOMP_RET_LOG);
  CHECK(ask(programs, 5, {}, AUDIT_ARCH_I386) == kKillThread);
  seccomp_data data{};
  data.nr = 317;
  data.arch = AUDIT_ARCH_X86_64;
  for (std::size_t i = 0; i + 1 < programs.programs.size(); ++i)
    CHECK(*seccomp::run_filter(programs.programs[i], data) == kAllow);

  // One listener, for the calls of all architectures.
  Seccomp notifying = config;
  notifying.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  notifying.syscalls.push_back(rule({"mount"}, "SCMP_ACT_NOTIFY"));
  const auto one = compiled(notifying);
  CHECK(one.notify);
  CHECK(ask(one, 165) == SECCOMP_RET_USER_NOTIF);
  CHECK(ask(one, kX32 + 165) == SECCOMP_RET_USER_NOTIF);
  CHECK(ask(one, 21, {}, AUDIT_ARCH_I386) == SECCOMP_RET_USER_NOTIF);
  CHECK(ask(one, 0, {1, 2}) == refused(1));
  for (std::size_t i = 0; i + 1 < one.programs.size(); ++i)
    for (const sock_filter& step : one.programs[i])
      CHECK_FALSE((step.code == (BPF_RET | BPF_K) && step.k == SECCOMP_RET_USER_NOTIF));
}

TEST_CASE("a profile that no kernel could take is refused soon") {
  std::vector<Syscall> rules;
  for (std::uint64_t i = 0; i < 3000; ++i) rules.push_back(rule({"read"}, "SCMP_ACT_KILL", {arg(0, "SCMP_CMP_EQ", i)}));
  CHECK(error_of(profile("SCMP_ACT_ALLOW", rules)).starts_with("linux.seccomp.syscalls: more than 2048 comparisons"));
  rules.resize(1500);
  CHECK(error_of(profile("SCMP_ACT_ALLOW", rules)).starts_with("linux.seccomp: the rules need more than 8 filters"));
  CHECK(compiled(profile("SCMP_ACT_ALLOW", std::vector<Syscall>(50'000, rule({"read"}, "SCMP_ACT_KILL")))).programs[0].size() <
        20);
}

}  // namespace clawrun::oci
