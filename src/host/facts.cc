#include "host/facts.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>

namespace clawrun::host {

namespace {

KernelVersion kernel_version() {
  utsname name{};
  if (uname(&name) != 0) return {};
  KernelVersion version;
  const char* at = name.release;
  const auto number = [&at] {
    unsigned value = 0;
    for (; *at >= '0' && *at <= '9' && value < 100'000; ++at) value = (value * 10) + static_cast<unsigned>(*at - '0');
    return value;
  };
  version.major = number();
  if (*at == '.') ++at;
  version.minor = number();
  return version;
}

std::uint32_t count_supplementary_groups(gid_t gid) {
  const int count = getgroups(0, nullptr);
  if (count <= 0) return 0;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  const int got = getgroups(count, groups.data());
  if (got <= 0) return 0;
  groups.resize(static_cast<std::size_t>(got));
  return static_cast<std::uint32_t>(std::ranges::count_if(groups, [gid](gid_t group) { return group != gid; }));
}

bool in_initial_user_namespace() {
  // PROC_USER_INIT_INO, part of the kernel's ABI since 3.8. The id map cannot tell: a nested namespace can map every id
  // onto itself and still own nothing of the host.
  constexpr ino_t kInitialUserNamespace = 0xEFFFFFFDU;
  struct stat status {};
  return stat("/proc/self/ns/user", &status) == 0 && status.st_ino == kInitialUserNamespace;
}

bool has_root_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  constexpr std::uint32_t kWanted = (1U << CAP_SYS_ADMIN) | (1U << CAP_SETUID) | (1U << CAP_SETGID);
  return (data[0].effective & kWanted) == kWanted;
}

// Whether the kernel itself looked at the arguments: every probe passes some that it must reject as invalid, while a
// missing system call answers ENOSYS and a seccomp filter EPERM or ENOSYS.
template <typename... Args>
bool knows(long number, Args... args) {
  return syscall(number, args...) == 0 || (errno != ENOSYS && errno != EPERM);
}

bool knows_mount_api() {
  // fsopen and move_mount answer EPERM to every caller without CAP_SYS_ADMIN, so that only ENOSYS counts; open_tree and
  // fsconfig check their arguments first and show a filter, which takes these calls as one group.
  const auto exists = [](long number) { return syscall(number, -1, nullptr, -1, nullptr, ~0U) == 0 || errno != ENOSYS; };
  return knows(SYS_open_tree, -1, nullptr, ~0U) && knows(SYS_fsconfig, -1, ~0U, nullptr, nullptr, 0) &&
         (syscall(SYS_fsopen, nullptr, ~0U) == 0 || errno != ENOSYS) && exists(SYS_move_mount);
}

bool knows_seccomp_filter() {
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

std::uint32_t count_cpus() {
  // 8192 processors: the kernel refuses a mask that is smaller than its own (sched_getaffinity(2)).
  std::array<std::uint64_t, 128> mask{};
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask.data());
  if (bytes <= 0) return 1;
  int count = 0;
  for (const std::uint64_t word : mask) count += std::popcount(word);
  return static_cast<std::uint32_t>(std::max(count, 1));
}

}  // namespace

HostFacts gather() {
  HostFacts facts;
  facts.kernel = kernel_version();
  facts.uid = geteuid();
  facts.gid = getegid();
  facts.supplementary_groups = count_supplementary_groups(facts.gid);
  facts.privileged = has_root_capabilities() && in_initial_user_namespace();
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  facts.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  facts.has_clone3 = knows(SYS_clone3, nullptr, 0);
  facts.has_openat2 = knows(SYS_openat2, -1, nullptr, nullptr, 0);
  facts.has_close_range = knows(SYS_close_range, 1U, 0U, 0U);  // the first is above the last: nothing is closed
  facts.has_mount_api = knows_mount_api();
  facts.has_mount_setattr = knows(SYS_mount_setattr, -1, nullptr, ~0U, nullptr, 0);
  facts.has_seccomp_filter = knows_seccomp_filter();
  facts.cpu_count = count_cpus();
  return facts;
}

}  // namespace clawrun::host
