#include "seccomp/builtin.h"

namespace clawrun::seccomp {

const BuiltinProfile* find_builtin(std::string_view name) {
  for (const BuiltinProfile& builtin : builtin_profiles())
    if (builtin.name == name) return &builtin;
  return nullptr;
}

Compiled to_compiled(const BuiltinProfile& builtin) {
  Compiled compiled;
  compiled.name = builtin.name;
  for (const auto& filter : builtin.filters) compiled.filters.emplace_back(filter.begin(), filter.end());
  compiled.has_start_cookie = builtin.has_start_cookie;
  compiled.flags = builtin.flags;
  return compiled;
}

std::vector<std::string_view> builtin_names() {
  std::vector<std::string_view> names;
  for (const BuiltinProfile& builtin : builtin_profiles()) names.push_back(builtin.name);
  return names;
}

}  // namespace clawrun::seccomp
