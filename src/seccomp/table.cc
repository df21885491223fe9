#include "seccomp/table.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "base/text.h"

namespace clawrun::seccomp {

namespace {

struct ArchRow {
  Arch arch;
  std::string_view name;     // uname(2)
  std::string_view go_name;  // in `includes` and `excludes`
  std::uint32_t audit;
  std::uint32_t libseccomp;
};

constexpr ArchRow kArches[] = {
    {Arch::kX86_64, "x86_64", "amd64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64},
    {Arch::kAarch64, "aarch64", "arm64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64},
};

const ArchRow& row(Arch arch) {
  return kArches[static_cast<std::size_t>(arch)];
}

// Calls that are newer than the libseccomp of Debian 12. From 424 on a number means the same everywhere; -1: not there.
struct NewSyscall {
  std::string_view name;
  int x86_64;
  int aarch64;
};

constexpr NewSyscall kNewSyscalls[] = {
    {"uretprobe", 335, -1},         {"uprobe", 336, -1},         {"cachestat", 451, 451},         {"fchmodat2", 452, 452},
    {"map_shadow_stack", 453, 453}, {"futex_wake", 454, 454},    {"futex_wait", 455, 455},        {"futex_requeue", 456, 456},
    {"statmount", 457, 457},        {"listmount", 458, 458},     {"lsm_get_self_attr", 459, 459}, {"lsm_set_self_attr", 460, 460},
    {"lsm_list_modules", 461, 461}, {"mseal", 462, 462},         {"setxattrat", 463, 463},        {"getxattrat", 464, 464},
    {"listxattrat", 465, 465},      {"removexattrat", 466, 466}, {"open_tree_attr", 467, 467},    {"file_getattr", 468, 468},
    {"file_setattr", 469, 469},     {"listns", 470, 470},
};

int number_on(const NewSyscall& call, Arch arch) {
  return arch == Arch::kX86_64 ? call.x86_64 : call.aarch64;
}

bool kernel_reaches(const Scope& scope, const Target& target) {
  return target.kernel_major != scope.kernel_major ? target.kernel_major > scope.kernel_major
                                                   : target.kernel_minor >= scope.kernel_minor;
}

// Docker's meaning, for somebody who holds no capability: all of `includes` must be met, nothing of `excludes` may be.
bool applies(const Rule& rule, const Target& target) {
  const auto lists_arch = [&](const Scope& scope) {
    return std::ranges::find(scope.arches, row(target.arch).go_name) != scope.arches.end();
  };
  if (!rule.includes.arches.empty() && !lists_arch(rule.includes)) return false;
  if (!rule.includes.caps.empty()) return false;
  if (rule.includes.kernel_major != 0 && !kernel_reaches(rule.includes, target)) return false;
  if (lists_arch(rule.excludes)) return false;
  return rule.excludes.kernel_major == 0 || !kernel_reaches(rule.excludes, target);
}

// Two comparisons of one argument in a rule are alternatives in this format, and then all of the rule's are: existing
// profiles are written for that.
std::vector<ConditionalAnswer> expand(const Rule& rule) {
  std::set<unsigned> indexes;
  for (const Condition& condition : rule.conditions) indexes.insert(condition.index);
  if (indexes.size() == rule.conditions.size()) return {{rule.conditions, rule.action}};
  std::vector<ConditionalAnswer> alternatives;
  for (const Condition& condition : rule.conditions) alternatives.push_back({{condition}, rule.action});
  return alternatives;
}

struct Collected {
  std::vector<ConditionalAnswer> conditional;
  std::optional<std::uint32_t> unconditional;
};

// Far more than a filter can hold; the limit keeps a hostile file from costing memory.
constexpr std::size_t kMaxConditionalAnswers = 2048;

void collect(const Rule& rule, Collected& into) {
  if (!rule.conditions.empty()) {
    for (ConditionalAnswer& answer : expand(rule)) {
      // Behind those as strict as it: the order of the file among equals.
      const auto at =
          std::ranges::find_if(into.conditional, [&](const auto& other) { return is_stricter(answer.action, other.action); });
      into.conditional.insert(at, std::move(answer));
    }
  } else if (!into.unconditional || is_stricter(rule.action, *into.unconditional)) {
    into.unconditional = rule.action;
  }
}

}  // namespace

Target native_target() {
  Target target;
  utsname name{};
  if (uname(&name) != 0) return target;
  const auto parts = split(name.release, '.');
  const auto number = [&](std::size_t i) {
    if (i >= parts.size()) return 0U;
    const auto end = parts[i].find_first_not_of("0123456789");  // "6.1-rc2"
    return static_cast<unsigned>(parse_unsigned(parts[i].substr(0, end), 10000).value_or(0));
  };
  target.kernel_major = number(0);
  target.kernel_minor = number(1);
  return target;
}

std::string_view arch_name(Arch arch) {
  return row(arch).name;
}
std::uint32_t audit_arch(Arch arch) {
  return row(arch).audit;
}
std::uint32_t libseccomp_arch(Arch arch) {
  return row(arch).libseccomp;
}

NameLookup syscall_number(Arch arch, std::string_view name) {
  for (const NewSyscall& call : kNewSyscalls) {
    if (call.name != name) continue;
    const int number = number_on(call, arch);
    return {number < 0 ? NameStatus::kAbsent : NameStatus::kKnown, number};
  }
  if (name.find('\0') != std::string_view::npos) return {};  // libseccomp would see the part before it
  const int number = seccomp_syscall_resolve_name_arch(libseccomp_arch(arch), std::string(name).c_str());
  if (number == __NR_SCMP_ERROR) return {};
  // Other negative numbers are libseccomp's stand-ins for calls of other architectures.
  return {number < 0 ? NameStatus::kAbsent : NameStatus::kKnown, number};
}

std::string syscall_name(Arch arch, int number) {
  if (number < 0) return {};
  for (const NewSyscall& call : kNewSyscalls)
    if (number_on(call, arch) == number) return std::string(call.name);
  const std::unique_ptr<char, decltype(&std::free)> name(seccomp_syscall_resolve_num_arch(libseccomp_arch(arch), number),
                                                         &std::free);
  return name ? std::string(name.get()) : std::string();
}

bool is_stricter(std::uint32_t a, std::uint32_t b) {
  // Signed, so that KILL_PROCESS (the top bit) comes before KILL_THREAD (0): seccomp_run_filters() in the kernel.
  return static_cast<std::int32_t>(a & SECCOMP_RET_ACTION_FULL) < static_cast<std::int32_t>(b & SECCOMP_RET_ACTION_FULL);
}

Result<Table> make_table(const Profile& profile, const Target& target) {
  Table table{.arch = target.arch,
              .default_action = profile.default_action,
              .flags = profile.flags,
              .by_number = {},
              .unknown_syscalls = {}};
  std::map<int, Collected> collected;
  std::set<std::string_view> unknown;
  std::size_t conditional = 0;
  for (const Rule& rule : profile.rules) {
    if (!applies(rule, target)) continue;
    for (const std::string& name : rule.names) {
      const NameLookup found = syscall_number(target.arch, name);
      conditional += rule.conditions.size();
      if (conditional > kMaxConditionalAnswers)
        return fail(ErrorKind::kInvalid, "the profile compares arguments more than " + std::to_string(kMaxConditionalAnswers) +
                                             " times, which is more than a filter can hold");
      if (found.status == NameStatus::kKnown) collect(rule, collected[found.number]);
      if (found.status == NameStatus::kUnknown && unknown.insert(name).second) table.unknown_syscalls.push_back(name);
    }
  }
  for (auto& [number, entry] : collected) {
    table.by_number[number] = {std::move(entry.conditional), entry.unconditional.value_or(profile.default_action)};
  }
  return table;
}

bool holds(const Condition& condition, std::span<const std::uint64_t, 6> args) {
  const std::uint64_t argument = condition.low_half_only ? args[condition.index] & UINT32_MAX : args[condition.index];
  switch (condition.comparison) {
    case Comparison::kNotEqual:
      return argument != condition.value;
    case Comparison::kLess:
      return argument < condition.value;
    case Comparison::kLessOrEqual:
      return argument <= condition.value;
    case Comparison::kEqual:
      return argument == condition.value;
    case Comparison::kGreaterOrEqual:
      return argument >= condition.value;
    case Comparison::kGreater:
      return argument > condition.value;
    case Comparison::kMaskedEqual:
      return (argument & condition.value) == condition.value_two;
  }
  return false;
}

std::uint32_t promised_answer(const Table& table, int number, std::span<const std::uint64_t, 6> args) {
  const auto it = table.by_number.find(number);
  if (it == table.by_number.end()) return table.default_action;
  for (const ConditionalAnswer& answer : it->second.conditional)
    if (std::ranges::all_of(answer.conditions, [&](const Condition& condition) { return holds(condition, args); }))
      return answer.action;
  return it->second.otherwise;
}

}  // namespace clawrun::seccomp
