#include "seccomp/compile.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/unique_fd.h"
#include "seccomp/argument_filter.h"
#include "seccomp/interpret.h"

namespace clawrun::seccomp {

namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

// How far the result is checked against the table: well past the last syscall there is.
constexpr int kCheckedNumbers = 1024;

Result<> check(int result, std::string_view doing) {
  if (result < 0) return fail_errno(std::string("libseccomp, ") + std::string(doing), -result);
  return {};
}

bool depends_on_arguments(const Answers& answers) {
  return !answers.conditional.empty();
}

Result<std::vector<sock_filter>> export_program(const Context& context) {
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return fail_errno("making a memory file for a seccomp filter");
  TRY(check(seccomp_export_bpf(context.get(), file.get()), "writing the filter"));
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return fail_errno("reading a compiled seccomp filter");
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (bytes == 0 || bytes % sizeof(sock_filter) != 0)
    return fail(ErrorKind::kInternal, "libseccomp wrote a filter of an impossible size");
  std::vector<sock_filter> program(bytes / sizeof(sock_filter));
  if (pread(file.get(), program.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    return fail_errno("reading a compiled seccomp filter");
  return program;
}

// libseccomp takes numbers of the architecture that it was built for, and translates them by name for others, which fails
// for calls that it does not know yet. So the filter is always built as a native one with the numbers of the target, and
// the architecture that it asks for is exchanged.
Result<> retarget(std::vector<sock_filter>& program, Arch target) {
  const std::uint32_t native = audit_arch(kNativeArch);
  const bool asks_first = program.size() > 2 && program[0].code == (BPF_LD | BPF_W | BPF_ABS) &&
                          program[0].k == offsetof(seccomp_data, arch) && program[1].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
                          program[1].k == native;
  if (!asks_first) return fail(ErrorKind::kInternal, "libseccomp's filter does not begin with the architecture");
  program[1].k = audit_arch(target);
  return {};
}

Result<std::vector<sock_filter>> compile_call_part(const Table& table) {
  // Asks libseccomp not to probe the kernel of the machine that compiles: the filter may be for another one.
  seccomp_api_set(6);
  const Context context(seccomp_init(table.default_action), &seccomp_release);
  if (!context)
    return fail(ErrorKind::kSystem, "libseccomp gave no filter for the default action " + describe_action(table.default_action));
  TRY(check(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)),
            "setting the answer to other architectures"));
  TRY(check(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "asking for a binary tree"));
  for (const auto& [number, answers] : table.by_number) {
    // The part in front has answered already.
    const std::uint32_t action = depends_on_arguments(answers) ? SECCOMP_RET_ALLOW : answers.otherwise;
    if (action == table.default_action) continue;  // libseccomp refuses a rule that says nothing new
    TRY(check(seccomp_rule_add_exact_array(context.get(), action, number, 0, nullptr),
              "adding a rule for syscall " + std::to_string(number)));
  }
  std::vector<sock_filter> program = TRY(export_program(context));
  if (table.arch != kNativeArch) TRY(retarget(program, table.arch));
  return program;
}

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
  std::vector<sock_filter> filter = TRY(compile_argument_part(table));
  const std::vector<sock_filter> call_part = TRY(compile_call_part(table));
  filter.insert(filter.end(), call_part.begin(), call_part.end());
  compiled.filters.push_back(std::move(filter));
  compiled.has_start_cookie = has_start_cookie(table);
  TRY(check_sizes(compiled));
  TRY(verify(compiled, table));
  return compiled;
}

}  // namespace clawrun::seccomp
