// What this kernel and this user can do, as far as starting a sandbox needs to know it; gathered once per process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace clawrun::host {

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  [[nodiscard]] bool at_least(unsigned want_major, unsigned want_minor) const {
    return major != want_major ? major > want_major : minor >= want_minor;
  }
};

// One line of /etc/subuid or /etc/subgid (subuid(5)).
struct SubIdRange {
  std::uint32_t start = 0;
  std::uint32_t count = 0;
};

// One entry of the host's root directory or /etc that the `host` root offers to a sandbox.
struct HostEntry {
  enum class Kind : std::uint8_t { kDirectory, kFile, kSymlink };
  std::string path;  // absolute, on the host and in the sandbox alike
  Kind kind = Kind::kDirectory;
  std::string link_target;  // of a symlink
};

// Plain data: `plan::compile` is tested with made-up facts.
struct HostFacts {
  KernelVersion kernel;
  std::uint32_t uid = 0;  // effective ids of the caller
  std::uint32_t gid = 0;
  std::uint32_t supplementary_groups = 0;  // how many besides gid
  bool privileged = false;                 // CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID in the initial user namespace
  int landlock_abi = 0;                    // 0: the kernel has none, or a filter hides it
  bool has_clone3 = false;
  bool has_openat2 = false;
  bool has_close_range = false;
  bool has_mount_api = false;      // fsopen, open_tree, move_mount
  bool has_mount_setattr = false;  // Linux 5.12
  bool has_seccomp_filter = false;
  std::uint32_t cpu_count = 1;
};

// Cheap: a dozen system calls, no fork, no file parsed. Thread-safe.
HostFacts gather();

// The entries of the host that make up the `host` root (symlinks of a merged /usr, /usr itself, the harmless part of /etc),
// in the order in which they are to be made. About twenty readlinkat(2)/faccessat(2).
std::vector<HostEntry> host_root_entries();

// The caller's lines of /etc/subuid or /etc/subgid, by name and by number. Read only when ranges are asked for.
Result<std::vector<SubIdRange>> sub_id_ranges(const char* file, std::uint32_t uid);

}  // namespace clawrun::host
