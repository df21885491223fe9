// What a profile answers on one architecture: syscall number -> rules; the promise that a compiled filter must keep.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "seccomp/profile.h"

namespace clawrun::seccomp {

enum class Arch : std::uint8_t { kX86_64, kAarch64 };

#if defined(__x86_64__)
inline constexpr Arch kNativeArch = Arch::kX86_64;
#elif defined(__aarch64__)
inline constexpr Arch kNativeArch = Arch::kAarch64;
#else
#error "seccomp filters are known for x86_64 and aarch64 only"
#endif

// For whom a profile is compiled: `includes` and `excludes` of its rules depend on it.
struct Target {
  Arch arch = kNativeArch;
  unsigned kernel_major = 0;
  unsigned kernel_minor = 0;
};

// This machine and kernel.
Target native_target();

std::string_view arch_name(Arch arch);  // "x86_64", "aarch64"
std::uint32_t audit_arch(Arch arch);    // AUDIT_ARCH_*: what a filter finds in seccomp_data.arch
std::uint32_t libseccomp_arch(Arch arch);

// A call that x86_64 serves under the x32 number has this bit (asm/unistd.h: __X32_SYSCALL_BIT).
inline constexpr std::uint32_t kX32Bit = 0x4000'0000;

enum class NameStatus : std::uint8_t { kKnown, kAbsent, kUnknown };  // kAbsent: known, but not on this architecture
struct NameLookup {
  NameStatus status = NameStatus::kUnknown;
  int number = -1;
};
NameLookup syscall_number(Arch arch, std::string_view name);

// "" where the number has no name.
std::string syscall_name(Arch arch, int number);

struct ConditionalAnswer {
  std::vector<Condition> conditions;  // all must hold
  std::uint32_t action = 0;
};

// Of the conditional answers that hold the strictest counts; where none holds, `otherwise`.
struct Answers {
  std::vector<ConditionalAnswer> conditional;  // strictest first, in the order of the file among equals
  std::uint32_t otherwise = 0;
};

struct Table {
  Arch arch = kNativeArch;
  std::uint32_t default_action = 0;
  unsigned flags = 0;
  std::map<int, Answers> by_number;
  std::vector<std::string> unknown_syscalls;  // names that no kernel we know has, each once
};

Result<Table> make_table(const Profile& profile, const Target& target);

// True where the kernel prefers `a` to `b` when several filters or rules answer (seccomp(2)).
bool is_stricter(std::uint32_t a, std::uint32_t b);

bool holds(const Condition& condition, std::span<const std::uint64_t, 6> args);
std::uint32_t promised_answer(const Table& table, int number, std::span<const std::uint64_t, 6> args);

}  // namespace clawrun::seccomp
