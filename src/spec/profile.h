// A profile: a JSON object whose keys are the settings (clawrun-profile.5).
#pragma once

#include <string_view>

#include "base/result.h"
#include "spec/spec.h"

namespace clawrun::spec {

// Applies the object in `text` to `spec`. Errors name `source` and the key; an unknown key names the nearest known one.
Result<> apply_profile(SandboxSpec& spec, std::string_view text, std::string_view source);

// The same for a whole specification: its keys may also be "command", an array of strings.
Result<> apply_json(SandboxSpec& spec, std::string_view text, std::string_view source);

}  // namespace clawrun::spec
