#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEbadfd = -77;
constexpr long kEinval = -22;

}  // namespace

void set_rlimits(const ChildPlan& plan) {
  for (std::uint32_t i = 0; i < plan.rlimit_count; ++i) {
    const struct {
      std::uint64_t soft;
      std::uint64_t hard;
    } limit{plan.rlimits[i].soft, plan.rlimits[i].hard};
    must(plan, Step::kRlimit, sys(__NR_prlimit64, 0, plan.rlimits[i].resource, &limit, nullptr), i);
  }
}

// All five sets. Ambient goes with the permitted set; the bounding set first, because dropping from it needs CAP_SETPCAP.
void drop_capabilities(const ChildPlan& plan, std::uint64_t keep) {
  for (std::uint32_t cap = 0; cap <= plan.last_capability; ++cap)
    if ((keep >> cap & 1U) == 0) must(plan, Step::kCapabilities, sys(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0), cap);
  must(plan, Step::kCapabilities, sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (std::uint32_t half = 0; half < 2; ++half) {
    const auto bits = static_cast<std::uint32_t>(keep >> (32 * half));
    data[half] = {bits, bits, bits};
  }
  must(plan, Step::kCapabilities, sys(__NR_capset, &header, data));
  for (std::uint32_t cap = 0; cap <= plan.last_capability; ++cap)
    if ((keep >> cap & 1U) != 0)
      must(plan, Step::kCapabilities, sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0), cap);
}

namespace {

// The rights of a rule on a descriptor of stdio are those that the descriptor was opened with: re-opening /dev/stderr works,
// and a log that was passed for writing still cannot be read.
std::uint64_t access_of_descriptor(int fd, std::uint64_t allowed) {
  constexpr std::uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | 1ULL << 14U /* TRUNCATE */;
  const long flags = sys(__NR_fcntl, fd, F_GETFL, 0);
  if (flags < 0) return 0;
  const long mode = flags & O_ACCMODE;
  std::uint64_t access = 0;
  if (mode == O_RDONLY || mode == O_RDWR) access |= LANDLOCK_ACCESS_FS_READ_FILE;
  if (mode == O_WRONLY || mode == O_RDWR) access |= kWrite;
  return access & allowed;
}

void add_rule(const ChildPlan& plan, int ruleset, const LandlockRule& rule, std::uint32_t index) {
  landlock_path_beneath_attr attr{};
  if (rule.path == nullptr) {
    attr.parent_fd = rule.fd;
    attr.allowed_access = access_of_descriptor(rule.fd, rule.access);
    if (attr.allowed_access == 0) return;
    const long result = sys(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
    // EBADFD: a pipe or socket, which Landlock does not govern: landlock_add_rule(2). EINVAL: not a regular file.
    if (result < 0 && result != kEbadfd && result != kEinval) fail(plan, Step::kLandlock, result, index);
    return;
  }
  const long fd = must(plan, Step::kLandlock, sys(__NR_openat, AT_FDCWD, rule.path, O_PATH | O_CLOEXEC), index);
  attr.parent_fd = static_cast<int>(fd);
  attr.allowed_access = rule.access;
  must(plan, Step::kLandlock, sys(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0), index);
  sys(__NR_close, fd);
}

}  // namespace

void enter_landlock(const ChildPlan& plan, const char* command) {
  if (!plan.landlock.enabled) return;
  // The layout of landlock_ruleset_attr, which headers of Debian 12 know only in part.
  const std::uint64_t attr[3] = {plan.landlock.handled_fs, plan.landlock.handled_net, plan.landlock.scoped};
  const long ruleset = must(plan, Step::kLandlock, sys(__NR_landlock_create_ruleset, attr, plan.landlock.attr_size, 0));
  for (std::uint32_t i = 0; i < plan.landlock.rule_count; ++i)
    add_rule(plan, static_cast<int>(ruleset), plan.landlock.rules[i], i);
  if (plan.landlock.command_access != 0)
    add_rule(plan, static_cast<int>(ruleset), {command, -1, plan.landlock.command_access}, kNoIndex);
  must(plan, Step::kLandlock, sys(__NR_landlock_restrict_self, ruleset, 0));
  sys(__NR_close, ruleset);
}

void load_filters(const ChildPlan& plan) {
  for (std::uint32_t i = 0; i < plan.filter_count; ++i) {
    const sock_fprog program{plan.filters[i].length, const_cast<sock_filter*>(plan.filters[i].instructions)};
    must(plan, Step::kSeccomp, sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, plan.filter_flags, &program), i);
  }
}

}  // namespace clawrun::child
