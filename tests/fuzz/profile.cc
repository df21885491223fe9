// A sandbox profile (clawrun-profile.5), and the validation of what it asks for.
#include "spec/profile.h"

#include "check.h"
#include "spec/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  clawrun::spec::SandboxSpec spec;
  spec.command = {"true"};
  const auto applied = clawrun::spec::apply_profile(spec, clawrun::fuzz::text_of(data, size), "fuzz.json");
  if (!applied) clawrun::fuzz::expect_clear(applied.error());
  (void)clawrun::spec::validate(std::move(spec));
  return 0;
}
