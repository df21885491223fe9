// One setting a line, `name value`, as flags give them: mounts, variables, users, sizes, times; then the whole is validated.
#include "spec/settings.h"

#include "base/text.h"
#include "check.h"
#include "spec/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  clawrun::spec::SandboxSpec spec;
  spec.command = {"true"};
  for (const std::string_view line : clawrun::split(clawrun::fuzz::text_of(data, size), '\n')) {
    const std::size_t blank = line.find(' ');
    const std::string_view value = blank == std::string_view::npos ? std::string_view{} : line.substr(blank + 1);
    const auto applied = clawrun::spec::apply_setting(spec, line.substr(0, blank), value);
    if (!applied) clawrun::fuzz::expect_clear(applied.error());
  }
  const auto valid = clawrun::spec::validate(std::move(spec));
  if (valid) return 0;
  clawrun::fuzz::expect(!valid.error().empty());
  for (const auto& problem : valid.error()) {
    clawrun::fuzz::expect(!problem.setting.empty());
    clawrun::fuzz::expect_clear({clawrun::ErrorKind::kInvalid, 0, problem.message});
  }
  return 0;
}
