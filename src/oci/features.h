// What `clawrun features` prints: runtime-spec 1.3, features.md and features-linux.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clawrun::oci {

// What depends on the host or on the build.
struct FeatureFacts {
  std::string version;                // clawrun's own
  std::string libseccomp_version;     // "2.5.4"; "": not said
  std::uint64_t capabilities = 0;     // bit n: this kernel has capability n
  unsigned seccomp_kernel_flags = 0;  // SECCOMP_FILTER_FLAG_* that this kernel takes
  bool cgroup_v1 = false;
  bool cgroup_v2 = false;
  bool cgroup_systemd = false;
  bool cgroup_systemd_user = false;
  bool cgroup_rdma = false;
  bool seccomp = false;
  bool apparmor = false;
  bool selinux = false;
  bool intel_rdt = false;
  bool intel_rdt_schemata = false;
  bool intel_rdt_monitoring = false;
  bool memory_policy = false;  // false: without a list of modes, which is how the specification says no
  bool idmap_mounts = false;
  bool net_devices = false;
  bool checkpoint = false;  // CRIU can be used
};

// The words of "options" that parse_mount_options understands itself, sorted.
std::vector<std::string_view> known_mount_options();

// Ends with a newline. Pure; thread-safe.
std::string features_json(const FeatureFacts& facts);

}  // namespace clawrun::oci
