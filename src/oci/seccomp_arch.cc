#include "oci/seccomp_arch.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace clawrun::oci {

namespace {

using seccomp::Arch;
using seccomp::NameStatus;

constexpr SeccompArch kArches[] = {
    {"SCMP_ARCH_X86_64", Arch::kX86_64, AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0, false, false},
    {"SCMP_ARCH_X86", Arch::kX86_64, AUDIT_ARCH_I386, SCMP_ARCH_X86, 0, true, true},
    {"SCMP_ARCH_X32", Arch::kX86_64, AUDIT_ARCH_X86_64, SCMP_ARCH_X32, seccomp::kX32Bit, true, false},
    {"SCMP_ARCH_AARCH64", Arch::kAarch64, AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, false, false},
    {"SCMP_ARCH_ARM", Arch::kAarch64, AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0, true, false},
};

// Of machines that this program is not made for.
constexpr std::string_view kForeignArches[] = {
    "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",     "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64",  "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",      "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",         "SCMP_ARCH_PPC64",    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB",
};

// libseccomp's word for the machine itself, which is always there.
constexpr std::string_view kNativeWord = "SCMP_ARCH_NATIVE";

// arch/x86/entry/syscalls/syscall_32.tbl: libseccomp resolves these names to stand-ins only.
struct DirectCall {
  std::string_view name;
  std::uint32_t number;
};
constexpr DirectCall kI386Direct[] = {
    {"socket", 359},     {"socketpair", 360}, {"bind", 361},        {"connect", 362},     {"listen", 363},   {"accept4", 364},
    {"getsockopt", 365}, {"setsockopt", 366}, {"getsockname", 367}, {"getpeername", 368}, {"sendto", 369},   {"sendmsg", 370},
    {"recvfrom", 371},   {"recvmsg", 372},    {"shutdown", 373},    {"recvmmsg", 337},    {"sendmmsg", 345}, {"semget", 393},
    {"semctl", 394},     {"shmget", 395},     {"shmctl", 396},      {"shmat", 397},       {"shmdt", 398},    {"msgget", 399},
    {"msgsnd", 400},     {"msgrcv", 401},     {"msgctl", 402},
};
constexpr std::uint32_t kI386Socketcall = 102;
constexpr std::uint32_t kI386Ipc = 117;
// ipc(2) keeps a version in the upper half.
constexpr std::uint32_t kIpcCallMask = 0xffff;

// libseccomp's stand-in for "call N of socketcall" is -100-N, for "call N of ipc" -200-N.
CallNumbers multiplexed_numbers(std::string_view name, int stand_in) {
  CallNumbers numbers{.status = NameStatus::kKnown, .direct = {}, .multiplexed = {}};
  const auto which = static_cast<std::uint32_t>(-stand_in);
  if (which < 200)
    numbers.multiplexed = Multiplexed{.number = kI386Socketcall, .call = which - 100, .mask = UINT32_MAX};
  else
    numbers.multiplexed = Multiplexed{.number = kI386Ipc, .call = which - 200, .mask = kIpcCallMask};
  const auto* const direct = std::ranges::find(kI386Direct, name, &DirectCall::name);
  if (direct != std::ranges::end(kI386Direct)) numbers.direct = direct->number;
  return numbers;
}

}  // namespace

std::vector<SeccompArch> machine_arches(Arch machine) {
  std::vector<SeccompArch> arches;
  for (const SeccompArch& arch : kArches)
    if (arch.machine == machine) arches.push_back(arch);
  return arches;
}

Result<std::vector<SeccompArch>> listed_arches(const std::vector<std::string>& words, Arch machine) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool known = words[i] == kNativeWord ||
                       std::ranges::find(kArches, words[i], &SeccompArch::name) != std::ranges::end(kArches) ||
                       std::ranges::find(kForeignArches, words[i]) != std::ranges::end(kForeignArches);
    if (known) continue;
    const auto names = known_seccomp_arches();
    return fail(ErrorKind::kInvalid, "linux.seccomp.architectures[" + std::to_string(i) + "]: string " + shown(words[i]) +
                                         " is not a valid arch for seccomp" + did_you_mean(words[i], names));
  }
  std::vector<SeccompArch> arches = machine_arches(machine);
  const auto is_listed = [&](const SeccompArch& arch) { return std::ranges::find(words, arch.name) != words.end(); };
  arches.erase(std::remove_if(arches.begin() + 1, arches.end(), [&](const SeccompArch& arch) { return !is_listed(arch); }),
               arches.end());
  return arches;
}

std::vector<std::string_view> known_seccomp_arches() {
  std::vector<std::string_view> names(std::begin(kForeignArches), std::end(kForeignArches));
  for (const SeccompArch& arch : kArches) names.push_back(arch.name);
  std::ranges::sort(names);
  return names;
}

CallNumbers call_numbers(const SeccompArch& arch, std::string_view name) {
  const seccomp::NameLookup native = seccomp::syscall_number(arch.machine, name);
  if (native.status == NameStatus::kUnknown) return {};
  if (arch.libseccomp == seccomp::libseccomp_arch(arch.machine)) {
    if (native.status == NameStatus::kAbsent) return {.status = NameStatus::kAbsent, .direct = {}, .multiplexed = {}};
    return {.status = NameStatus::kKnown, .direct = static_cast<std::uint32_t>(native.number), .multiplexed = {}};
  }
  int number = seccomp_syscall_resolve_name_arch(arch.libseccomp, std::string(name).c_str());
  // Newer than libseccomp. From 424 on a number means the same everywhere.
  constexpr int kFirstCommonNumber = 424;
  if (number == __NR_SCMP_ERROR && native.number >= kFirstCommonNumber)
    number = static_cast<int>(arch.first_number) + native.number;
  if (arch.has_multiplexed_calls && number > -300 && number <= -100) return multiplexed_numbers(name, number);
  if (number < 0) return {.status = NameStatus::kAbsent, .direct = {}, .multiplexed = {}};
  return {.status = NameStatus::kKnown, .direct = static_cast<std::uint32_t>(number), .multiplexed = {}};
}

}  // namespace clawrun::oci
