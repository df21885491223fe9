// The config.json to begin with, which `spec` writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace clawrun::oci {

// The specification that this runtime is written to: what `features`, `spec` and --version say.
inline constexpr const char* kSpecVersion = "1.3.0";

struct RootlessIds {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct StarterOptions {
  std::optional<RootlessIds> rootless;  // who on the host is root inside; unset: for root, without a user namespace
  bool cgroup_namespace = false;        // where cgroup v2 is all that there is
};

// runc's content: a shell as root with three capabilities, a read-only root, no network but lo. Ends without a newline, as
// runc's.
std::string starter_config(const StarterOptions& options);

}  // namespace clawrun::oci
