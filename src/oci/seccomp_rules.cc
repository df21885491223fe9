#include "oci/seccomp_rules.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/text.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV  // Linux 5.19
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace clawrun::oci {

namespace {

using seccomp::Comparison;
using seccomp::Condition;

template <typename Value>
using Word = std::pair<std::string_view, Value>;

// Sorted: `features` lists them so.
constexpr Word<std::uint32_t> kActions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

constexpr Word<Comparison> kOperators[] = {
    {"SCMP_CMP_EQ", Comparison::kEqual},    {"SCMP_CMP_GE", Comparison::kGreaterOrEqual},
    {"SCMP_CMP_GT", Comparison::kGreater},  {"SCMP_CMP_LE", Comparison::kLessOrEqual},
    {"SCMP_CMP_LT", Comparison::kLess},     {"SCMP_CMP_MASKED_EQ", Comparison::kMaskedEqual},
    {"SCMP_CMP_NE", Comparison::kNotEqual},
};

constexpr Word<unsigned> kFlags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

template <typename Value, std::size_t kSize>
std::vector<std::string_view> words_of(const Word<Value> (&rows)[kSize]) {
  std::vector<std::string_view> words;
  for (const auto& row : rows) words.push_back(row.first);
  return words;
}

template <typename Value, std::size_t kSize>
const Value* find(const Word<Value> (&rows)[kSize], std::string_view word) {
  for (const auto& row : rows)
    if (row.first == word) return &row.second;
  return nullptr;
}

Failure invalid(std::string_view path, std::string_view what) {
  return fail(ErrorKind::kInvalid, std::string(path) + ": " + std::string(what));
}

std::string at(std::string_view path, std::string_view member, std::size_t index) {
  return std::string(path) + "." + std::string(member) + "[" + std::to_string(index) + "]";
}

constexpr std::uint32_t kArguments = 6;

Result<Condition> condition_of(const SyscallArg& arg, std::string_view path) {
  if (arg.index >= kArguments)
    return invalid(std::string(path) + ".index", "a system call has arguments 0 to 5, not " + std::to_string(arg.index));
  const Comparison* const comparison = find(kOperators, arg.op);
  if (comparison == nullptr)
    return invalid(std::string(path) + ".op", "string " + shown(arg.op) + " is not a valid operator for seccomp" +
                                                  did_you_mean(arg.op, known_seccomp_operators()));
  Condition condition{.index = arg.index, .comparison = *comparison, .value = arg.value, .value_two = 0, .low_half_only = false};
  // Bits of valueTwo outside the mask are of no account, as in libseccomp.
  if (*comparison == Comparison::kMaskedEqual) condition.value_two = arg.value_two & arg.value;
  return condition;
}

bool always_holds(const Condition& condition) {
  return condition.comparison == Comparison::kMaskedEqual && condition.value == 0;
}

Result<std::vector<std::vector<Condition>>> alternatives_of(const Syscall& call, std::string_view path) {
  std::vector<Condition> conditions;
  std::array<unsigned, kArguments> uses{};
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    const Condition condition = TRY(condition_of(call.args[i], at(path, "args", i)));
    ++uses[condition.index];
    conditions.push_back(condition);
  }
  const bool all_must_hold = std::ranges::all_of(uses, [](unsigned n) { return n <= 1; });
  const std::size_t idle = std::erase_if(conditions, always_holds);
  std::vector<std::vector<Condition>> alternatives;
  if (conditions.empty() || (idle > 0 && !all_must_hold)) return alternatives;
  if (all_must_hold) {
    alternatives.push_back(std::move(conditions));
    return alternatives;
  }
  // Existing profiles are written for this: runc (and Docker before it) read it so.
  for (const Condition& condition : conditions) alternatives.push_back({condition});
  return alternatives;
}

}  // namespace

Result<std::uint32_t> seccomp_action(std::string_view word, std::optional<std::uint32_t> errno_ret, std::string_view path) {
  const std::uint32_t* const found = find(kActions, word);
  if (found == nullptr)
    return invalid(path,
                   "string " + shown(word) + " is not a valid action for seccomp" + did_you_mean(word, known_seccomp_actions()));
  if (*found != SECCOMP_RET_ERRNO && *found != SECCOMP_RET_TRACE) return *found;
  const std::uint32_t data = errno_ret.value_or(EPERM);
  // A filter returns 16 bits of data, and the kernel (MAX_ERRNO) cuts an errno down further.
  constexpr std::uint32_t kMaxErrno = 4095;
  const std::uint32_t limit = *found == SECCOMP_RET_ERRNO ? kMaxErrno : SECCOMP_RET_DATA;
  if (data > limit)
    return invalid(
        path, "errnoRet " + std::to_string(data) + " is more than the " + std::to_string(limit) + " that the kernel can return");
  return *found | data;
}

Result<std::vector<SeccompRule>> seccomp_rules(const Seccomp& config) {
  std::vector<SeccompRule> rules;
  rules.reserve(config.syscalls.size());
  for (std::size_t i = 0; i < config.syscalls.size(); ++i) {
    const Syscall& call = config.syscalls[i];
    const std::string path = at("linux.seccomp", "syscalls", i);
    const auto empty = std::ranges::find(call.names, std::string_view());
    if (empty != call.names.end())
      return invalid(at(path, "names", static_cast<std::size_t>(empty - call.names.begin())),
                     "empty string is not a valid syscall");
    SeccompRule rule;
    rule.names = call.names;
    rule.action = TRY(seccomp_action(call.action, call.errno_ret, path + ".action"));
    rule.alternatives = TRY(alternatives_of(call, path));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<unsigned> seccomp_flags(const Seccomp& config, unsigned kernel_flags) {
  if (config.flags.empty() && !config.flags_given) return SECCOMP_FILTER_FLAG_SPEC_ALLOW & kernel_flags;
  unsigned flags = 0;
  for (std::size_t i = 0; i < config.flags.size(); ++i) {
    const unsigned* const flag = find(kFlags, config.flags[i]);
    const std::string path = at("linux.seccomp", "flags", i);
    if (flag == nullptr)
      return invalid(path, "seccomp flag " + quoted(config.flags[i]) + " is not known to clawrun" +
                               did_you_mean(config.flags[i], known_seccomp_flags()));
    if ((*flag & kernel_flags) == 0)
      return fail(ErrorKind::kUnsupported,
                  path + ": seccomp flag " + quoted(config.flags[i]) + " is not supported by this kernel");
    flags |= *flag;
  }
  return flags;
}

std::vector<std::string_view> known_seccomp_actions() {
  return words_of(kActions);
}
std::vector<std::string_view> known_seccomp_operators() {
  return words_of(kOperators);
}
std::vector<std::string_view> known_seccomp_flags() {
  return words_of(kFlags);
}
std::vector<std::string_view> seccomp_flag_words(unsigned kernel_flags) {
  std::vector<std::string_view> words;
  for (const auto& [word, flag] : kFlags)
    if ((flag & kernel_flags) != 0) words.push_back(word);
  return words;
}

}  // namespace clawrun::oci
