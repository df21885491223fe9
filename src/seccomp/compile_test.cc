#include "seccomp/compile.h"

#include <doctest/doctest.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/unique_fd.h"
#include "seccomp/builtin.h"
#include "seccomp/interpret.h"

namespace clawrun::seccomp {

namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t refused(int errno_value) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(errno_value);
}

std::uint32_t ask_number(const Compiled& compiled, int number, std::array<std::uint64_t, 6> args = {}, Arch arch = kNativeArch) {
  seccomp_data data{};
  data.nr = number;
  data.arch = audit_arch(arch);
  std::ranges::copy(args, data.args);
  const auto answer = decide(compiled, data);
  REQUIRE(answer);
  return *answer;
}

std::uint32_t ask(const Compiled& compiled, const char* name, std::array<std::uint64_t, 6> args = {}) {
  const NameLookup found = syscall_number(kNativeArch, name);
  REQUIRE(found.status == NameStatus::kKnown);
  return ask_number(compiled, found.number, args);
}

Compiled builtin(std::string_view name) {
  const BuiltinProfile* found = find_builtin(name);
  REQUIRE(found != nullptr);
  return to_compiled(*found);
}

Compiled compiled_from(const std::string& json) {
  const auto profile = parse_profile(json);
  REQUIRE(profile);
  auto compiled = compile_profile(*profile, "test", Target{});
  if (!compiled) FAIL(compiled.error().message);
  return *compiled;
}

// libseccomp's own filter for the calls whose answer does not depend on arguments, as a binary tree.
std::vector<sock_filter> filter_of_libseccomp(const Table& table) {
  const std::unique_ptr<void, decltype(&seccomp_release)> context(seccomp_init(table.default_action), &seccomp_release);
  REQUIRE(context);
  REQUIRE(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)) == 0);
  REQUIRE(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0);
  for (const auto& [number, answers] : table.by_number)
    if (answers.conditional.empty() && answers.otherwise != table.default_action)
      REQUIRE(seccomp_rule_add_exact_array(context.get(), answers.otherwise, number, 0, nullptr) == 0);
  const UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  REQUIRE(seccomp_export_bpf(context.get(), file.get()) == 0);
  std::vector<sock_filter> program(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_CUR)) / sizeof(sock_filter));
  const auto bytes = static_cast<ssize_t>(program.size() * sizeof(sock_filter));
  REQUIRE(pread(file.get(), program.data(), static_cast<std::size_t>(bytes), 0) == bytes);
  return program;
}

}  // namespace

TEST_CASE("our search tree and libseccomp's binary tree answer alike, and ours is the shorter") {
  for (const BuiltinProfile& shipped : builtin_profiles()) {
    CAPTURE(shipped.name);
    const auto profile = parse_profile(shipped.json);
    REQUIRE(profile);
    const auto table = make_table(*profile, {});
    REQUIRE(table);
    Compiled theirs;
    theirs.filters.push_back(filter_of_libseccomp(*table));
    const Compiled ours = to_compiled(shipped);
    for (int number = 0; number < 1024; ++number) {
      const auto entry = table->by_number.find(number);
      if (entry != table->by_number.end() && !entry->second.conditional.empty()) continue;
      CAPTURE(number);
      REQUIRE(ask_number(ours, number) == ask_number(theirs, number));
    }
    CHECK(instruction_count(ours) < instruction_count(theirs));
  }
}

TEST_CASE("every shipped profile answers every number as its table promises, on both architectures") {
  for (const BuiltinProfile& shipped : builtin_profiles()) {
    CAPTURE(shipped.name);
    const auto profile = parse_profile(shipped.json);
    REQUIRE(profile);
    for (const Arch arch : {Arch::kX86_64, Arch::kAarch64}) {
      const auto table = make_table(*profile, {.arch = arch});
      const auto compiled = compile_profile(*profile, shipped.name, {.arch = arch});
      REQUIRE(table);
      REQUIRE(compiled);
      CHECK(table->unknown_syscalls.empty());
      for (int number = 0; number <= 480; ++number) {
        CAPTURE(number);
        CHECK(ask_number(*compiled, number, {}, arch) == promised_answer(*table, number, std::array<std::uint64_t, 6>{}));
        // Each call that exists has its rule; a number without a call is unknown.
        CHECK(table->by_number.contains(number) == !syscall_name(arch, number).empty());
      }
      for (const Arch other : {Arch::kX86_64, Arch::kAarch64})
        if (other != arch) CHECK(ask_number(*compiled, 0, {}, other) == refused(ENOSYS));
    }
    // What is embedded is what the sources give today.
    const auto compiled = compile_profile(*profile, shipped.name, Target{});
    REQUIRE(compiled);
    REQUIRE(compiled->filters.size() == shipped.filters.size());
    for (std::size_t i = 0; i < shipped.filters.size(); ++i)
      CHECK(std::ranges::equal(compiled->filters[i], shipped.filters[i], [](const sock_filter& a, const sock_filter& b) {
        return a.code == b.code && a.jt == b.jt && a.jf == b.jf && a.k == b.k;
      }));
    CHECK(compiled->has_start_cookie == shipped.has_start_cookie);
  }
}

TEST_CASE("the default profile refuses what it promises to refuse") {
  const Compiled profile = builtin("default");
  for (const char* name : {"bpf",
                           "perf_event_open",
                           "userfaultfd",
                           "io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "keyctl",
                           "add_key",
                           "request_key",
                           "open_by_handle_at",
                           "name_to_handle_at",
                           "mount",
                           "umount2",
                           "pivot_root",
                           "open_tree",
                           "move_mount",
                           "fsopen",
                           "fsconfig",
                           "fsmount",
                           "fspick",
                           "mount_setattr",
                           "open_tree_attr",
                           "setns",
                           "kexec_load",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "swapon",
                           "reboot",
                           "acct",
                           "quotactl",
                           "clock_settime",
                           "settimeofday",
                           "process_vm_readv",
                           "process_vm_writev",
                           "pidfd_getfd",
                           "kcmp",
                           "syslog",
                           "vhangup"}) {
    CAPTURE(name);
    CHECK(ask(profile, name) == refused(EPERM));
  }
  for (const char* name :
       {"execve", "ptrace", "seccomp", "landlock_create_ruleset", "memfd_create", "pidfd_open", "read", "futex"}) {
    CAPTURE(name);
    CHECK(ask(profile, name) == kAllow);
  }
  CHECK(ask(profile, "clone3") == refused(ENOSYS));
  CHECK(ask_number(profile, 999) == refused(ENOSYS));
  CHECK(ask_number(profile, -1) == refused(ENOSYS));
}

TEST_CASE("namespace flags, terminal requests and personalities are seen whatever the high bits are") {
  const Compiled profile = builtin("default");
  constexpr std::uint64_t kHigh = std::uint64_t{1} << 32U;
  for (const std::uint64_t flag : std::initializer_list<std::uint32_t>{CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                                       CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET}) {
    CHECK(ask(profile, "clone", {flag | 17U}) == refused(EPERM));
    CHECK(ask(profile, "unshare", {flag | CLONE_FILES | kHigh}) == refused(EPERM));
  }
  CHECK(ask(profile, "clone", {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}) == kAllow);
  CHECK(ask(profile, "clone", {CLONE_NEWTIME}) == kAllow);  // part of the exit signal there, not a flag
  CHECK(ask(profile, "unshare", {CLONE_NEWTIME}) == refused(EPERM));
  CHECK(ask(profile, "unshare", {CLONE_FILES}) == kAllow);
  for (const std::uint64_t request : std::initializer_list<std::uint32_t>{TIOCSTI, TIOCLINUX, TIOCSETD}) {
    CHECK(ask(profile, "ioctl", {0, request}) == refused(EPERM));
    CHECK(ask(profile, "ioctl", {0, request | kHigh}) == refused(EPERM));
    CHECK(ask(profile, "ioctl", {0, request | 0xffffffff'00000000}) == refused(EPERM));
  }
  CHECK(ask(profile, "ioctl", {TIOCSTI, TCGETS}) == kAllow);
  for (const std::uint64_t allowed : {0x0U, 0x8U, 0x20000U, 0x20008U, 0xffffffffU})
    CHECK(ask(profile, "personality", {allowed}) == kAllow);
  CHECK(ask(profile, "personality", {ADDR_NO_RANDOMIZE}) == refused(EPERM));
  CHECK(ask(profile, "personality", {ADDR_NO_RANDOMIZE | kHigh}) == refused(EPERM));
}

TEST_CASE("socket families") {
  struct Row {
    std::uint64_t family;
    std::uint64_t protocol;
    bool by_default;
    bool by_network;
    bool by_strict;
  };
  const Row rows[] = {
      {AF_UNIX, 0, true, true, true},        {AF_INET, 6, true, true, false},     {AF_INET6, 17, true, true, false},
      {AF_NETLINK, 0, true, true, false},    {AF_NETLINK, 4, false, true, false}, {AF_NETLINK, 16, false, false, false},
      {AF_NETLINK, 12, false, false, false}, {AF_ALG, 0, false, false, false},    {AF_VSOCK, 0, false, false, false},
      {AF_PACKET, 0, false, false, false},   {AF_KEY, 0, false, false, false},    {AF_RXRPC, 0, false, false, false},
      {44, 0, false, false, false},          {AF_TIPC, 0, false, false, false},   {AF_BLUETOOTH, 0, false, false, false},
      {AF_CAN, 0, false, false, false},      {0, 0, false, false, false},         {0xffffffff, 0, false, false, false}};
  const Compiled by_default = builtin("default");
  const Compiled by_network = builtin("network");
  const Compiled by_strict = builtin("strict");
  for (const Row& row : rows) {
    for (const char* call : {"socket", "socketpair"}) {
      for (const std::uint64_t high : std::initializer_list<std::uint64_t>{0, 1ULL << 32U, 0xffffffff'00000000}) {
        CAPTURE(row.family);
        const std::array<std::uint64_t, 6> args{row.family | high, SOCK_RAW, row.protocol | high};
        CHECK(ask(by_default, call, args) == (row.by_default ? kAllow : refused(EAFNOSUPPORT)));
        CHECK(ask(by_network, call, args) == (row.by_network ? kAllow : refused(EAFNOSUPPORT)));
        CHECK(ask(by_strict, call, args) == (row.by_strict ? kAllow : refused(EAFNOSUPPORT)));
      }
    }
  }
}

TEST_CASE("other entries of the machine are refused") {
  for (const BuiltinProfile& shipped : builtin_profiles()) {
    const Compiled profile = to_compiled(shipped);
    for (int number = 0; number <= 480; ++number) {
      CAPTURE(number);
      if (kNativeArch == Arch::kX86_64) CHECK(ask_number(profile, static_cast<int>(kX32Bit) | number) == refused(ENOSYS));
      for (const std::uint32_t arch : std::initializer_list<std::uint32_t>{AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64}) {
        seccomp_data data{};
        data.nr = number;
        data.arch = arch;
        CHECK(decide(profile, data).value_or(0) == refused(ENOSYS));
      }
    }
  }
}

TEST_CASE("strict passes execve with this start's cookie and no other") {
  constexpr std::uint64_t kCookie = 0x0123456789abcdef;
  Compiled profile = builtin("strict");
  REQUIRE(profile.has_start_cookie);
  set_start_cookie(profile, kCookie);
  for (const char* call : {"execve", "execveat"}) {
    CHECK(ask(profile, call, {1, 2, 3, 4, 5, kCookie}) == kAllow);
    for (const std::uint64_t wrong : std::initializer_list<std::uint64_t>{0, kStartCookiePlaceholder, kCookie ^ 1U,
                                                                          kCookie & 0xffffffff, kCookie ^ (1ULL << 63U)})
      CHECK(ask(profile, call, {1, 2, 3, 4, 5, wrong}) == refused(EPERM));
    CHECK(ask(profile, call, {kCookie, kCookie, kCookie, kCookie, kCookie, 0}) == refused(EPERM));
  }
  CHECK(ask(profile, "clone", {17}) == kAllow);
  CHECK(ask(profile, "ioctl", {0, TCGETS}) == kAllow);
  CHECK(ask(profile, "ioctl", {0, TIOCSTI}) == refused(ENOTTY));
  for (const char* name : {"default", "network", "docker-compatible"}) CHECK_FALSE(builtin(name).has_start_cookie);
}

TEST_CASE("docker-compatible") {
  const Compiled profile = builtin("docker-compatible");
  CHECK(ask(profile, "socket", {AF_VSOCK}) == refused(EPERM));
  CHECK(ask(profile, "socket", {AF_PACKET}) == kAllow);
  CHECK(ask(profile, "clone", {CLONE_NEWUSER}) == refused(EPERM));
  CHECK(ask(profile, "clone3") == refused(ENOSYS));
  CHECK(ask(profile, "unshare", {CLONE_FILES}) == refused(EPERM));
  CHECK(ask(profile, "process_vm_readv") == kAllow);
  CHECK(ask(profile, "name_to_handle_at") == kAllow);
  CHECK(ask(profile, "open_by_handle_at") == refused(EPERM));
}

TEST_CASE("every operator, around its borders, in both halves") {
  const std::array<std::string, 7> names = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
  constexpr std::uint64_t kMiddle = 0x00000005'00000007;
  for (const std::string& name : names) {
    const std::string two = name == "MASKED_EQ" ? R"(,"valueTwo":)" + std::to_string(kMiddle & 0x00000001'00000003) : "";
    const std::string json = R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[
      {"names":["getpid"],"action":"SCMP_ACT_ALLOW","args":[{"index":3,"value":)" +
                             std::to_string(kMiddle) + two + R"(,"op":"SCMP_CMP_)" + name +
                             R"("}]},{"names":["getpid"],"action":"SCMP_ACT_ERRNO","errnoRet":5}]})";
    const auto profile = parse_profile(json);
    REQUIRE(profile);
    const auto table = make_table(*profile, Target{});
    REQUIRE(table);
    const Compiled compiled = compiled_from(json);
    const int number = syscall_number(kNativeArch, "getpid").number;
    for (const std::uint64_t high : {0ULL, 4ULL, 5ULL, 6ULL, 0xffffffffULL}) {
      for (const std::uint64_t low : {0ULL, 3ULL, 6ULL, 7ULL, 8ULL, 0xffffffffULL}) {
        const std::array<std::uint64_t, 6> args{0, 0, 0, (high << 32U) | low};
        CAPTURE(name);
        CAPTURE(args[3]);
        CHECK(ask_number(compiled, number, args) == promised_answer(*table, number, args));
        CHECK((ask_number(compiled, number, args) == kAllow) == holds(profile->rules[0].conditions[0], args));
      }
    }
  }
}

TEST_CASE("rules that meet: the strictest of those with arguments, then those without; one argument twice means or") {
  const Compiled compiled = compiled_from(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[
    {"names":["ioctl"],"action":"SCMP_ACT_ALLOW"},
    {"names":["ioctl"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":7,"op":"SCMP_CMP_GE"}]},
    {"names":["ioctl"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":1,"value":9,"op":"SCMP_CMP_EQ"}]},
    {"names":["ioctl"],"action":"SCMP_ACT_KILL_THREAD","args":[{"index":1,"value":9,"op":"SCMP_CMP_EQ"}]},
    {"names":["kill"],"action":"SCMP_ACT_ALLOW"},
    {"names":["kill"],"action":"SCMP_ACT_TRAP"},
    {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
       {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
    {"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[
       {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":2,"op":"SCMP_CMP_EQ"}]}]})");
  CHECK(ask(compiled, "ioctl", {0, 1}) == kAllow);
  CHECK(ask(compiled, "ioctl", {0, 8}) == SECCOMP_RET_LOG);
  CHECK(ask(compiled, "ioctl", {0, 9}) == SECCOMP_RET_KILL_PROCESS);
  CHECK(ask(compiled, "kill") == SECCOMP_RET_TRAP);
  CHECK(ask(compiled, "socket", {1}) == kAllow);
  CHECK(ask(compiled, "socket", {2}) == kAllow);
  CHECK(ask(compiled, "socket", {3}) == refused(ENOSYS));
  CHECK(ask(compiled, "dup", {1, 2}) == kAllow);
  CHECK(ask(compiled, "dup", {1, 3}) == refused(ENOSYS));
}

TEST_CASE("a call with very many conditions is jumped over the long way") {
  std::string rules;
  for (int i = 1; i <= 120; ++i)
    rules += R"({"names":["getpid"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":)" +
             std::to_string(i) + "}]},";
  const Compiled compiled =
      compiled_from(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules +
                    R"({"names":["gettid"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":9}]}]})");
  CHECK(ask(compiled, "getpid", {120}) == kAllow);
  CHECK(ask(compiled, "getpid", {121}) == refused(EPERM));
  CHECK(ask(compiled, "gettid", {9}) == kAllow);
  CHECK(ask(compiled, "gettid", {1}) == refused(EPERM));
}

TEST_CASE("a profile that no filter can hold is an error") {
  std::string rules;
  for (int i = 0; i < 1500; ++i)
    rules += std::string(i == 0 ? "" : ",") +
             R"({"names":["getpid"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":)" +
             std::to_string(i) + "}]}";
  const auto large = parse_profile(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules + "]}");
  REQUIRE(large);
  CHECK_FALSE(compile_profile(*large, "large", Target{}));
}

TEST_CASE("deny-list profiles and other default actions") {
  const Compiled deny = compiled_from(
      R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]})");
  CHECK(ask(deny, "mount") == refused(EACCES));
  CHECK(ask(deny, "read") == kAllow);
  const Compiled kill =
      compiled_from(R"({"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]})");
  CHECK(ask(kill, "read") == kAllow);
  CHECK(ask(kill, "write") == SECCOMP_RET_KILL_PROCESS);
  const Compiled empty = compiled_from(R"({"defaultAction":"SCMP_ACT_LOG"})");
  CHECK(ask(empty, "read") == SECCOMP_RET_LOG);
}

TEST_CASE("the interpreter refuses what the kernel would refuse") {
  const seccomp_data data{};
  const std::vector<std::vector<sock_filter>> broken = {
      {},
      {{BPF_LD | BPF_W | BPF_ABS, 0, 0, sizeof(seccomp_data)}, {BPF_RET | BPF_A, 0, 0, 0}},
      {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 2}, {BPF_RET | BPF_A, 0, 0, 0}},
      {{BPF_LD | BPF_H | BPF_ABS, 0, 0, 0}, {BPF_RET | BPF_A, 0, 0, 0}},
      {{BPF_JMP | BPF_JA, 0, 0, 0xffffffff}, {BPF_RET | BPF_K, 0, 0, 0}},
      {{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 0}},
      {{BPF_ST, 0, 0, 16}, {BPF_RET | BPF_K, 0, 0, 0}},
      {{0xffff, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 0}},
  };
  for (const auto& filter : broken) CHECK_FALSE(run_filter(filter, data));
}

}  // namespace clawrun::seccomp
