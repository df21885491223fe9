// The one table of what can be asked for: it feeds the command line, --help, the completions, profiles and the library.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spec/spec.h"

namespace clawrun::spec {

enum class ValueKind : std::uint8_t {
  kValue,  // the last one given counts
  kList,   // each one given adds
  kFlag,   // given or not; in a profile true or false
};

enum class Section : std::uint8_t { kRoot, kEnvironment, kIsolation, kNetwork, kLimits, kStdio, kRunning };

struct Setting {
  std::string_view name;  // --name, and the key in a profile
  ValueKind kind;
  Section section;
  std::string_view metavar;  // "" for a flag
  std::string_view help;
  Result<> (*apply)(SandboxSpec& spec, std::string_view value);  // value of a flag: "on" or "off"
};

std::string_view section_title(Section section);

// In the order of --help. Lives as long as the process.
std::span<const Setting> settings();
std::vector<std::string_view> setting_names();

// Whether --name may be this.
bool is_sandbox_name(std::string_view name);

// nullptr where there is none of that name.
const Setting* find_setting(std::string_view name);

// One setting by name, as a flag of the command line, a key of a profile or a call of the library gives it.
// An unknown name or a bad value is an error that names the nearest or the allowed. Thread-safe.
Result<> apply_setting(SandboxSpec& spec, std::string_view name, std::string_view value);

}  // namespace clawrun::spec
