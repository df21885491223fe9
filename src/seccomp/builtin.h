// The profiles of seccomp-profiles/, compiled when clawrun was built: no libseccomp and no JSON at run time.
#pragma once

#include <linux/filter.h>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "seccomp/program.h"

namespace clawrun::seccomp {

struct BuiltinProfile {
  std::string_view name;
  std::string_view json;
  std::span<const std::span<const sock_filter>> filters;
  bool has_start_cookie = false;
  unsigned flags = 0;
};

// Defined by the generated file.
std::span<const BuiltinProfile> builtin_profiles();

const BuiltinProfile* find_builtin(std::string_view name);

// A copy, which the caller may patch.
Compiled to_compiled(const BuiltinProfile& builtin);

std::vector<std::string_view> builtin_names();

}  // namespace clawrun::seccomp
