// Why the kernel refused a user namespace or a mount, and the one setting that changes it; read only when it has refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "host/surroundings.h"

namespace clawrun::host {

struct Explanation {
  std::string reason;
  std::string remedy;
};

// Everything that is known to forbid user namespaces. `explain` is tested with made-up values.
struct UsernsBlocks {
  std::optional<std::int64_t> unprivileged_clone;   // kernel.unprivileged_userns_clone, a Debian patch
  std::optional<std::int64_t> max_user_namespaces;  // user.max_user_namespaces of this user namespace
  std::optional<std::int64_t> apparmor_restrict;    // kernel.apparmor_restrict_unprivileged_userns
  bool selinux_deny = false;                        // the boolean deny_userns
  bool selinux_enforcing = false;
  bool chrooted = false;
  bool unmapped_id = false;     // our own uid or gid has no mapping in this user namespace
  bool seccomp_filter = false;  // `Seccomp: 2` in /proc/self/status
  bool privileged = false;      // CAP_SYS_ADMIN here
  bool masked_proc = false;     // something is mounted over a part of /proc
  Surrounding surrounding = Surrounding::kNone;
  std::string program;  // for the AppArmor profile: the path of this program
};

UsernsBlocks gather_userns_blocks();
Explanation explain(const UsernsBlocks& blocks, int errno_value);
Explanation explain_mount(const UsernsBlocks& blocks, std::string_view fstype, int errno_value);

// The command that gives `program` an AppArmor profile with the right to user namespaces.
std::string apparmor_remedy(std::string_view program);

// Whether a file system that is mounted over a part of /proc, or a read-only part of it, makes the kernel refuse a new one.
bool has_masked_proc(std::string_view mountinfo);

// One line, "reason; remedy": for the message of a failed clone or unshare with CLONE_NEWUSER.
std::string explain_userns_failure(int errno_value);

// The same for a failed mount of `fstype` inside a user namespace.
std::string explain_mount_failure(std::string_view fstype, int errno_value);

}  // namespace clawrun::host
