#include "seccomp/compile.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>

#include "seccomp/call_tree.h"
#include "seccomp/interpret.h"

namespace clawrun::seccomp {

namespace {

// How far the result is checked against the table: well past the last syscall there is.
constexpr int kCheckedNumbers = 1024;

bool has_start_cookie(const Table& table) {
  for (const char* name : {"execve", "execveat"}) {
    const auto it = table.by_number.find(syscall_number(table.arch, name).number);
    if (it == table.by_number.end()) continue;
    for (const ConditionalAnswer& answer : it->second.conditional)
      for (const Condition& condition : answer.conditions)
        if (condition.index == 5 && condition.comparison == Comparison::kEqual && condition.value == kStartCookiePlaceholder)
          return true;
  }
  return false;
}

// Arguments for which the answers differ: those that make each condition of a call hold, and all zero.
std::vector<std::array<std::uint64_t, 6>> telling_arguments(const Answers* answers) {
  std::vector<std::array<std::uint64_t, 6>> all{{}};
  if (answers == nullptr) return all;
  for (const ConditionalAnswer& answer : answers->conditional) {
    std::array<std::uint64_t, 6> args{};
    for (const Condition& condition : answer.conditions)
      args[condition.index] = condition.comparison == Comparison::kMaskedEqual ? condition.value_two : condition.value;
    all.push_back(args);
    for (std::uint64_t& arg : args) ++arg;
    all.push_back(args);
  }
  return all;
}

Result<> verify(const Compiled& compiled, const Table& table) {
  for (int number = 0; number < kCheckedNumbers; ++number) {
    const auto it = table.by_number.find(number);
    for (const auto& args : telling_arguments(it == table.by_number.end() ? nullptr : &it->second)) {
      seccomp_data data{};
      data.nr = number;
      data.arch = audit_arch(table.arch);
      std::ranges::copy(args, data.args);
      const std::uint32_t decided = TRY(decide(compiled, data));
      const std::uint32_t promised = promised_answer(table, number, args);
      if (decided != promised)
        return fail(ErrorKind::kInternal, "the compiled filter answers syscall " + std::to_string(number) + " with " +
                                              describe_action(decided) + " where the profile says " + describe_action(promised));
    }
  }
  return {};
}

}  // namespace

Result<Compiled> compile_profile(const Profile& profile, std::string_view name, const Target& target) {
  const Table table = TRY(make_table(profile, target));
  Compiled compiled;
  compiled.name = name;
  compiled.flags = table.flags;
  compiled.unknown_syscalls = table.unknown_syscalls;
  std::vector<sock_filter> filter = TRY(compile_calls(table));
  compiled.filters.push_back(std::move(filter));
  compiled.has_start_cookie = has_start_cookie(table);
  TRY(check_sizes(compiled));
  TRY(verify(compiled, table));
  return compiled;
}

}  // namespace clawrun::seccomp
