// Seccomp profiles in the JSON format of Docker and OCI, as a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::seccomp {

// SCMP_CMP_*, unsigned and 64 bits wide.
enum class Comparison : std::uint8_t { kNotEqual, kLess, kLessOrEqual, kEqual, kGreaterOrEqual, kGreater, kMaskedEqual };

struct Condition {
  unsigned index = 0;  // which argument, 0 to 5
  Comparison comparison = Comparison::kEqual;
  std::uint64_t value = 0;      // the mask of kMaskedEqual
  std::uint64_t value_two = 0;  // what the masked argument must equal
  bool low_half_only = false;   // the argument of a 32-bit call: values have no high half either
  bool operator==(const Condition&) const = default;
};

// Docker's `includes` and `excludes`: for whom a rule is meant.
struct Scope {
  std::vector<std::string> arches;  // as Go names them: "amd64", "arm64"
  std::vector<std::string> caps;
  unsigned kernel_major = 0;  // 0: any kernel
  unsigned kernel_minor = 0;
};

struct Rule {
  std::vector<std::string> names;
  std::uint32_t action = 0;           // what the filter returns: SECCOMP_RET_*, with the errno in the low 16 bits
  std::vector<Condition> conditions;  // all must hold; none: the rule holds always
  Scope includes;
  Scope excludes;
  std::string comment;
};

struct Profile {
  std::string comment;
  std::uint32_t default_action = 0;  // for the calls that no rule answers
  unsigned flags = 0;                // SECCOMP_FILTER_FLAG_*
  std::vector<Rule> rules;
};

inline constexpr std::size_t kMaxProfileBytes = std::size_t{1} << 20U;

// This number as argument 5 of execve or execveat stands for the cookie that each start draws anew (set_start_cookie).
inline constexpr std::uint64_t kStartCookiePlaceholder = 0x434c4157'52554e21;

// An error names the place as a path: `syscalls[3].args[0].op: …`.
Result<Profile> parse_profile(std::string_view json);

// "allow", "errno EPERM", "kill process", …
std::string describe_action(std::uint32_t action);

// "arg1 & 0xffffffff == 0x5412"
std::string describe_condition(const Condition& condition);

}  // namespace clawrun::seccomp
