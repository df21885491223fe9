#include <algorithm>

#include "oci/parse.h"

namespace clawrun::oci {

namespace {

// linux.seccomp keeps the specification's words; these say only which there are.
constexpr std::string_view kActions[] = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",   "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY",
};
constexpr std::string_view kOperators[] = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ",
};
constexpr std::string_view kArchitectures[] = {
    "SCMP_ARCH_X86",         "SCMP_ARCH_X86_64", "SCMP_ARCH_X32",       "SCMP_ARCH_ARM",     "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",     "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",  "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",        "SCMP_ARCH_SH",     "SCMP_ARCH_SHEB",      "SCMP_ARCH_NATIVE",
};
constexpr std::string_view kFlags[] = {
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
};

constexpr std::uint32_t kMaxErrno = 4095;        // MAX_ERRNO: above it, what a call returns is no error to libc
constexpr std::uint32_t kMaxActionData = 65535;  // SECCOMP_RET_DATA
constexpr std::uint32_t kMaxArgument = 5;

Result<std::string> known(const JsonValue& value, std::span<const std::string_view> words) {
  const std::string_view text = TRY(value.text());
  if (std::ranges::find(words, text) == words.end()) return not_one_of(value, words);
  return std::string(text);
}

Result<> read_errno(const JsonObject& object, std::string_view key, std::string_view action,
                    std::optional<std::uint32_t>& target) {
  return read_member(object, key, target, 0U, action == "SCMP_ACT_ERRNO" ? kMaxErrno : kMaxActionData);
}

Result<SyscallArg> argument_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  SyscallArg argument;
  TRY(read_required(object, "index", "the position of the argument", argument.index, 0U, kMaxArgument));
  TRY(read_required(object, "value", "a whole number", argument.value));
  TRY(read_member(object, "valueTwo", argument.value_two));
  const JsonValue op = TRY(object.require("op", "an operator such as SCMP_CMP_EQ"));
  argument.op = TRY(known(op, kOperators));
  return argument;
}

Result<Syscall> syscall_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Syscall rule;
  TRY(read_required(object, "names", "a list of system calls", rule.names));
  if (rule.names.empty()) return object.wrong_member("names", "is empty; it must be a list of system calls");
  const JsonValue action = TRY(object.require("action", "an action such as SCMP_ACT_ALLOW"));
  rule.action = TRY(known(action, kActions));
  TRY(read_errno(object, "errnoRet", rule.action, rule.errno_ret));
  TRY(read_list(object, "args", "comparisons", rule.args, argument_of));
  // Whoever hands the listener's descriptor on does so with these calls, and would wait for itself.
  if (rule.action == "SCMP_ACT_NOTIFY" && std::ranges::find(rule.names, "write") != rule.names.end())
    return action.wrong("SCMP_ACT_NOTIFY cannot be used for the write syscall");
  return rule;
}

}  // namespace

Result<Seccomp> seccomp_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Seccomp seccomp;
  const JsonValue action = TRY(object.require("defaultAction", "an action such as SCMP_ACT_ERRNO"));
  seccomp.default_action = TRY(known(action, kActions));
  if (seccomp.default_action == "SCMP_ACT_NOTIFY") return action.wrong("SCMP_ACT_NOTIFY cannot be the default action");
  TRY(read_errno(object, "defaultErrnoRet", seccomp.default_action, seccomp.default_errno_ret));
  TRY(read_list(object, "architectures", "architectures", seccomp.architectures,
                [](const JsonValue& element) { return known(element, kArchitectures); }));
  TRY(read_list(object, "flags", "flags", seccomp.flags, [](const JsonValue& element) { return known(element, kFlags); }));
  seccomp.flags_given = object.find("flags").has_value();
  TRY(read_member(object, "listenerPath", seccomp.listener_path));
  TRY(read_member(object, "listenerMetadata", seccomp.listener_metadata));
  if (seccomp.listener_path.empty() && !seccomp.listener_metadata.empty())
    return object.wrong_member("listenerMetadata", "goes with listenerPath only");
  TRY(read_list(object, "syscalls", "rules", seccomp.syscalls, syscall_of));
  return seccomp;
}

}  // namespace clawrun::oci
