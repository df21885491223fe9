// The filters of a plan in the words of linux.seccomp, so that every runtime answers as they do.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "seccomp/table.h"

namespace clawrun::report {

// Arguments that agree with `value` in the bits of `mask`.
struct ArgumentBox {
  std::array<std::uint64_t, 6> mask{};
  std::array<std::uint64_t, 6> value{};
  auto operator<=>(const ArgumentBox&) const = default;
};

struct BoxedAnswer {
  ArgumentBox box;
  std::uint32_t action = 0;
  auto operator<=>(const BoxedAnswer&) const = default;
};

// The answers as boxes that do not overlap; those that answer as `default_action` left out. Runtimes differ in what they make
// of rules that overlap (libseccomp looks at the order of arguments), so no two may. An error where there would be too many.
Result<std::vector<BoxedAnswer>> boxes_of(const seccomp::Answers& answers, std::uint32_t default_action);

// `table` is that of the plan's profile; nullopt: unconfined. What cannot be said is added to `not_expressed`. "" where the plan
// has no filter at all.
Result<std::string> seccomp_json(const plan::Plan& plan, const std::optional<seccomp::Table>& table,
                                 std::vector<std::string>& not_expressed);

}  // namespace clawrun::report
