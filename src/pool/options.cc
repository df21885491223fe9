#include "pool/options.h"

#include <array>

#include "base/text.h"
#include "pool/driver.h"

namespace clawrun::pool {

namespace {

// execve(2): one argument is at most 32 pages, with its NUL.
constexpr std::size_t kMostPrimeBytes = 128 * 1024 - 1;

// One of two words.
template <typename Enum>
Result<Enum> either(std::string_view value, std::string_view first, std::string_view second) {
  if (value == first) return static_cast<Enum>(0);
  if (value == second) return static_cast<Enum>(1);
  return fail(ErrorKind::kInvalid, quoted(value) + " is neither " + quoted(first) + " nor " + quoted(second));
}

Result<Switch> on_or_off(std::string_view value) {
  return TRY(parse_switch(value)) ? Switch::kOn : Switch::kOff;
}

struct Row {
  std::string_view name;
  Result<> (*set)(Options& options, std::string_view value);
};

constexpr Row kRows[] = {
    {"size",
     [](Options& options, std::string_view value) -> Result<> {
       options.size = TRY(parse_unsigned(value, kMostSandboxes));
       if (options.size == 0)
         return fail(ErrorKind::kInvalid, "a pool keeps 1 to " + std::to_string(kMostSandboxes) + " sandboxes");
       return {};
     }},
    {"grade",
     [](Options& options, std::string_view value) -> Result<> {
       options.grade = TRY(either<Grade>(value, "parked", "primed"));
       return {};
     }},
    {"interpreter",
     [](Options& options, std::string_view value) -> Result<> {
       TRY(find_driver(value));
       options.interpreter = value;
       return {};
     }},
    {"prime",
     [](Options& options, std::string_view value) -> Result<> {
       if (value.size() > kMostPrimeBytes)
         return fail(ErrorKind::kInvalid, std::to_string(value.size()) + " bytes are more than the allowed " +
                                              std::to_string(kMostPrimeBytes) + ": import the rest from a file of the root");
       options.prime = value;
       return {};
     }},
    {"when-empty",
     [](Options& options, std::string_view value) -> Result<> {
       options.when_empty = TRY(either<WhenEmpty>(value, "cold", "wait"));
       return {};
     }},
    {"wait",
     [](Options& options, std::string_view value) -> Result<> {
       options.wait = TRY(parse_duration(value));
       return {};
     }},
    {"workspace",
     [](Options& options, std::string_view value) -> Result<> {
       options.workspace = TRY(on_or_off(value));
       return {};
     }},
    {"shrink",
     [](Options& options, std::string_view value) -> Result<> {
       options.shrink = TRY(on_or_off(value));
       return {};
     }},
};

}  // namespace

Result<> set_option(Options& options, std::string_view name, std::string_view value) {
  std::array<std::string_view, std::size(kRows)> names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] = kRows[i].name;
    if (name != names[i]) continue;
    Options changed = options;
    if (auto set = kRows[i].set(changed, value); !set) return while_doing(name, std::move(set).error());
    options = std::move(changed);
    return {};
  }
  return fail(ErrorKind::kInvalid, quoted(name) + " is no option of a pool" + did_you_mean(name, names));
}

Result<> check(const Options& options) {
  const auto only_primed = [&](const char* name, const std::string& value) -> Result<> {
    if (options.grade == Grade::kPrimed || value.empty()) return {};
    return fail(ErrorKind::kInvalid, std::string(name) + ": only a pool of grade primed has an interpreter");
  };
  TRY(only_primed("interpreter", options.interpreter));
  TRY(only_primed("prime", options.prime));
  if (options.grade == Grade::kParked) return {};
  if (options.interpreter.empty())
    return fail(ErrorKind::kInvalid, "interpreter: a pool of grade primed needs one: " + known_interpreters());
  if (options.workspace == Switch::kOn)
    return fail(ErrorKind::kInvalid,
                "workspace: a primed interpreter has entered its work directory already; grade parked can do it");
  return {};
}

}  // namespace clawrun::pool
