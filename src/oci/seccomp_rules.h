// The words of linux.seccomp as values: actions, operators, flags and rules.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/config.h"
#include "seccomp/table.h"

namespace clawrun::oci {

// What a filter returns for an SCMP_ACT_* word; `errno_ret` is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, EPERM where it is
// missing, and without meaning for the others.
Result<std::uint32_t> seccomp_action(std::string_view word, std::optional<std::uint32_t> errno_ret, std::string_view path);

struct SeccompRule {
  std::span<const std::string> names;
  std::uint32_t action = 0;
  // Each is enough for the action, where all of its conditions hold. Empty: the rule holds always.
  std::vector<std::vector<seccomp::Condition>> alternatives;
};

// `names` stay those of `config`.
Result<std::vector<SeccompRule>> seccomp_rules(const Seccomp& config);

// SECCOMP_FILTER_FLAG_* for "flags", or runc's choice where config.json does not have them: SPEC_ALLOW, if the kernel has it.
Result<unsigned> seccomp_flags(const Seccomp& config, unsigned kernel_flags);

// Of seccomp_flags(), those that the kernel takes beside SECCOMP_FILTER_FLAG_NEW_LISTENER only.
inline constexpr unsigned kSeccompListenerFlags = 1U << 5U;  // WAIT_KILLABLE_RECV, Linux 5.19

// What is accepted, sorted: for `features`.
std::vector<std::string_view> known_seccomp_actions();
std::vector<std::string_view> known_seccomp_operators();
std::vector<std::string_view> known_seccomp_flags();
// The known flags that are among these bits.
std::vector<std::string_view> seccomp_flag_words(unsigned kernel_flags);

}  // namespace clawrun::oci
