#include "host/explain.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "host/files.h"
#include "sys/own_program.h"

namespace clawrun::host {

namespace {

bool has_admin_capability() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  return syscall(SYS_capget, &header, data.data()) == 0 && (data[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

bool is_chrooted(std::string_view mountinfo) {
  // Only root may compare with the root of pid 1, and only in the same mount namespace does the comparison mean anything.
  struct stat ours {};
  struct stat theirs {};
  struct stat our_ns {};
  struct stat their_ns {};
  if (stat("/", &ours) == 0 && stat("/proc/1/root/", &theirs) == 0 && stat("/proc/self/ns/mnt", &our_ns) == 0 &&
      stat("/proc/1/ns/mnt", &their_ns) == 0 && our_ns.st_ino == their_ns.st_ino)
    return ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino;
  // A root that is no mount point is a directory below the root of the mount namespace.
  if (mountinfo.empty()) {
    struct statx root {};
    return statx(AT_FDCWD, "/", 0, 0, &root) == 0 && (root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
           (root.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0;
  }
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() > 4 && fields[4] == "/") return false;
  }
  return true;
}

bool maps_id(const char* map_file, std::uint64_t id) {
  const auto map = read_file(map_file);
  if (!map) return true;  // without /proc nothing is known, so that nothing is claimed
  for (const std::string_view line : split(*map, '\n')) {
    std::array<std::uint64_t, 3> numbers{};
    std::size_t found = 0;
    for (const std::string_view field : split(line, ' '))
      if (const auto number = parse_unsigned(field); number && found < numbers.size()) numbers[found++] = *number;
    if (found == numbers.size() && id >= numbers[0] && id - numbers[0] < numbers[2]) return true;
  }
  return false;
}

std::string errno_words(int errno_value) {
  const char* text = strerrordesc_np(errno_value);
  return text != nullptr ? text : "error " + std::to_string(errno_value);
}

Explanation explain_no_room(const UsernsBlocks& blocks) {
  if (blocks.max_user_namespaces == 0) {
    return {"the number of user namespaces is limited to 0 (user.max_user_namespaces=0)",
            "sysctl -w user.max_user_namespaces=15000"};
  }
  std::string limit = "user.max_user_namespaces";
  if (blocks.max_user_namespaces) limit += "=" + std::to_string(*blocks.max_user_namespaces);
  return {"this user has as many user namespaces as " + limit +
              " allows here or in an outer namespace, or user namespaces are already nested 32 deep, which is the kernel's limit",
          "start clawrun in an outer namespace, or sysctl -w user.max_user_namespaces=100000 there"};
}

}  // namespace

std::string apparmor_remedy(std::string_view program) {
  return "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile clawrun " + std::string(program) +
         " flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/clawrun && sudo apparmor_parser -r "
         "/etc/apparmor.d/clawrun";
}

bool has_masked_proc(std::string_view mountinfo) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 10 || !fields[4].starts_with("/proc/")) continue;
    // mount_too_revealing() of the kernel forgives a mount over a directory that is empty by design, such as this one.
    if (!fields[4].starts_with("/proc/sys/fs/binfmt_misc") && !fields[4].starts_with("/proc/fs/nfsd")) return true;
  }
  return false;
}

UsernsBlocks gather_userns_blocks() {
  UsernsBlocks blocks;
  blocks.unprivileged_clone = read_number("/proc/sys/kernel/unprivileged_userns_clone");
  blocks.max_user_namespaces = read_number("/proc/sys/user/max_user_namespaces");
  blocks.apparmor_restrict = read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  blocks.selinux_enforcing = read_number("/sys/fs/selinux/enforce") == 1;
  blocks.selinux_deny = blocks.selinux_enforcing && read_or_empty("/sys/fs/selinux/booleans/deny_userns").starts_with('1');
  const Clues clues = gather_clues();
  blocks.surrounding = identify(clues).kind;
  blocks.chrooted = is_chrooted(clues.mountinfo);
  blocks.masked_proc = has_masked_proc(clues.mountinfo);
  blocks.unmapped_id = !maps_id("/proc/self/uid_map", geteuid()) || !maps_id("/proc/self/gid_map", getegid());
  blocks.seccomp_filter = read_or_empty("/proc/self/status").find("\nSeccomp:\t2") != std::string::npos;
  blocks.privileged = has_admin_capability();
  blocks.program = sys::own_path();
  if (blocks.program.empty()) blocks.program = "/usr/bin/clawrun";
  return blocks;
}

// Ordered by certainty: first what explains the errno for sure, then what is only likely.
Explanation explain(const UsernsBlocks& blocks, int errno_value) {
  if (errno_value == ENOSPC || errno_value == EUSERS) return explain_no_room(blocks);
  if (errno_value == EAGAIN)
    return {"a limit on the number of processes is reached (ulimit -u, or the pids limit of a cgroup)",
            "raise the limit, or end some processes"};
  if (errno_value == EINVAL)
    return {"this kernel is built without user namespaces (CONFIG_USER_NS)", "run a kernel with CONFIG_USER_NS=y"};
  if (!blocks.privileged && blocks.unprivileged_clone == 0) {
    return {"user namespaces are switched off for ordinary users (kernel.unprivileged_userns_clone=0)",
            "sysctl -w kernel.unprivileged_userns_clone=1"};
  }
  if (!blocks.privileged && blocks.apparmor_restrict.value_or(0) != 0) {
    return {
        "AppArmor forbids user namespaces to programs without a profile of their own "
        "(kernel.apparmor_restrict_unprivileged_userns=" +
            std::to_string(*blocks.apparmor_restrict) + ")",
        apparmor_remedy(blocks.program)};
  }
  if (blocks.selinux_deny)
    return {"SELinux forbids user namespaces (the boolean deny_userns is on)", "setsebool -P deny_userns off"};
  if (blocks.chrooted) {
    return {"this process is in a chroot, where the kernel allows no user namespace",
            "start clawrun outside of the chroot (or enter it by pivot_root)"};
  }
  if (blocks.unmapped_id) {
    return {"the uid or gid of this process has no mapping in the user namespace that it is in",
            "start clawrun as a user that /proc/self/uid_map and /proc/self/gid_map list"};
  }
  if (blocks.seccomp_filter) {
    return {"a seccomp filter" +
                (blocks.surrounding == Surrounding::kNone ? std::string() : " of " + std::string(name_of(blocks.surrounding))) +
                " refuses user namespaces",
            std::string(loosening(blocks.surrounding).seccomp)};
  }
  if (errno_value == ENOSYS) return {"this kernel does not know the system call", "run Linux 5.10 or newer"};
  if (blocks.selinux_enforcing) {
    return {"a policy of SELinux refuses user namespaces",
            "ausearch -m AVC -ts recent -c clawrun | audit2allow -M clawrun && semodule -i clawrun.pp"};
  }
  return {"the kernel refuses user namespaces: " + errno_words(errno_value),
          "dmesg | tail (the reason is a security module or a setting of the kernel)"};
}

Explanation explain_mount(const UsernsBlocks& blocks, std::string_view fstype, int errno_value) {
  const std::string name(fstype);
  const bool refused = errno_value == EPERM || errno_value == EACCES;
  if (errno_value == ENODEV) {
    return {"this kernel has no file system " + name,
            fstype == "overlay" ? "modprobe overlay" : "run a kernel that has the file system " + name};
  }
  if (refused && !blocks.privileged && blocks.apparmor_restrict.value_or(0) != 0) return explain(blocks, EPERM);
  if (refused && fstype == "proc" && blocks.masked_proc) {
    return {"parts of /proc are masked or read-only here, and the kernel allows no new /proc that would show more of it",
            std::string(loosening(blocks.surrounding).proc)};
  }
  if (refused && blocks.seccomp_filter)
    return {"a seccomp filter refuses to mount", std::string(loosening(blocks.surrounding).seccomp)};
  if (refused && fstype == "proc")
    return {"the kernel allows no new /proc where no complete one is visible", "mount -t proc proc /proc"};
  if (fstype == "overlay" && (refused || errno_value == EINVAL)) {
    return {
        "this kernel allows overlay inside a user namespace only from Linux 5.11 on, and on file systems that support its "
        "attributes",
        "run Linux 5.11 or newer"};
  }
  if (refused) return {"a security module refuses to mount " + name, std::string(loosening(blocks.surrounding).seccomp)};
  return {"mounting " + name + " fails: " + errno_words(errno_value), "dmesg | tail"};
}

std::string explain_userns_failure(int errno_value) {
  const Explanation explanation = explain(gather_userns_blocks(), errno_value);
  return explanation.reason + "; remedy: " + explanation.remedy;
}

std::string explain_mount_failure(std::string_view fstype, int errno_value) {
  const Explanation explanation = explain_mount(gather_userns_blocks(), fstype, errno_value);
  return explanation.reason + "; remedy: " + explanation.remedy;
}

}  // namespace clawrun::host
