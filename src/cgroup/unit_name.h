// Names of systemd's units: what a scope may be called, and `slice:prefix:name`, the cgroupsPath of OCI bundles.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::cgroup {

// Which systemd: the first process of the host, or `systemd --user` of the caller.
enum class Manager : std::uint8_t { kSystem, kUser };

struct ScopeName {
  std::string slice;  // "system.slice"
  std::string unit;   // "prefix-name.scope"
};

// An empty slice is the manager's own, an empty prefix adds none. What a unit's name cannot hold in `prefix` and `name` is
// escaped as systemd-escape(1) does it.
Result<ScopeName> parse_cgroups_path(std::string_view path, Manager manager);

// "system.slice", or "user.slice" of a user's manager.
std::string default_slice(Manager manager);

// systemd.unit(5), systemd.slice(5).
Result<> check_scope_name(std::string_view unit);
Result<> check_slice_name(std::string_view slice);

}  // namespace clawrun::cgroup
