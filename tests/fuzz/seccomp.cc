// A seccomp profile in the JSON format of OCI and Docker, and the words that `clawrun seccomp show` has for it.
#include "check.h"
#include "seccomp/profile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto profile = clawrun::seccomp::parse_profile(clawrun::fuzz::text_of(data, size));
  if (!profile) {
    clawrun::fuzz::expect_clear(profile.error());
    return 0;
  }
  clawrun::fuzz::expect(!clawrun::seccomp::describe_action(profile->default_action).empty());
  for (const auto& rule : profile->rules) {
    clawrun::fuzz::expect(!clawrun::seccomp::describe_action(rule.action).empty());
    for (const auto& condition : rule.conditions) {
      clawrun::fuzz::expect(condition.index < 6);
      clawrun::fuzz::expect(!clawrun::seccomp::describe_condition(condition).empty());
    }
  }
  return 0;
}
