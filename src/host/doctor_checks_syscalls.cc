// Which system calls the kernel answers itself, told by calls with arguments that it must reject.
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <tuple>

#include "base/text.h"
#include "host/doctor_checks.h"
#include "host/probe.h"

namespace clawrun::host {

namespace {

struct SyscallRow {
  std::string_view name;
  long number;
  std::array<long, 5> arguments;
  KernelVersion since;
  bool needs_admin;  // EPERM is the kernel's own answer to a caller without CAP_SYS_ADMIN in its mount namespace
};

// Every row must fail harmlessly: no valid descriptor, no valid pointer, unknown flags. What the kernel then answers is
// EINVAL, EFAULT, EBADF or EOPNOTSUPP, and never EPERM or ENOSYS.
constexpr long kBad = 0x4000'0000;
constexpr SyscallRow kRows[] = {
    {"clone(CLONE_NEWUSER)", SYS_clone, {CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0}, {3, 8}, false},
    {"clone3", SYS_clone3, {0, 0, 0, 0, 0}, {5, 3}, false},
    {"unshare(CLONE_NEWUSER)", SYS_unshare, {CLONE_NEWUSER | 1, 0, 0, 0, 0}, {3, 8}, false},
    {"setns", SYS_setns, {-1, 0, 0, 0, 0}, {3, 0}, false},
    {"mount", SYS_mount, {0, 0, 0, 0, 0}, {2, 6}, true},
    {"umount2", SYS_umount2, {0, kBad, 0, 0, 0}, {2, 6}, true},
    {"pivot_root", SYS_pivot_root, {0, 0, 0, 0, 0}, {2, 6}, true},
    {"fsopen", SYS_fsopen, {0, kBad, 0, 0, 0}, {5, 2}, true},
    {"fsconfig", SYS_fsconfig, {-1, 0, 0, 0, 0}, {5, 2}, false},
    {"fsmount", SYS_fsmount, {-1, kBad, 0, 0, 0}, {5, 2}, true},
    {"open_tree", SYS_open_tree, {-1, 0, kBad, 0, 0}, {5, 2}, false},
    {"move_mount", SYS_move_mount, {-1, 0, -1, 0, kBad}, {5, 2}, true},
    {"mount_setattr", SYS_mount_setattr, {-1, 0, kBad, 0, 0}, {5, 12}, false},
    {"openat2", SYS_openat2, {-1, 0, 0, 0, 0}, {5, 6}, false},
    {"close_range", SYS_close_range, {1, 0, 0, 0, 0}, {5, 9}, false},
    {"pidfd_open", SYS_pidfd_open, {-1, 0, 0, 0, 0}, {5, 3}, false},
    {"pidfd_send_signal", SYS_pidfd_send_signal, {-1, 0, 0, kBad, 0}, {5, 1}, false},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1, -1, kBad, 0, 0}, {5, 6}, false},
    {"seccomp", SYS_seccomp, {SECCOMP_SET_MODE_FILTER, kBad, 0, 0, 0}, {3, 17}, false},
    {"keyctl", SYS_keyctl, {kBad, 0, 0, 0, 0}, {2, 6}, false},
    {"landlock_create_ruleset", SYS_landlock_create_ruleset, {0, 0, kBad, 0, 0}, {5, 13}, false},
    {"landlock_add_rule", SYS_landlock_add_rule, {-1, 0, 0, kBad, 0}, {5, 13}, false},
    {"landlock_restrict_self", SYS_landlock_restrict_self, {-1, kBad, 0, 0, 0}, {5, 13}, false},
    {"memfd_create", SYS_memfd_create, {0, kBad >> 16U, 0, 0, 0}, {3, 17}, false},
    {"execveat", SYS_execveat, {-1, 0, 0, 0, kBad}, {3, 19}, false},
    {"prctl(PR_SET_NO_NEW_PRIVS)", SYS_prctl, {PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0}, {3, 5}, false},
    {"capset", SYS_capset, {0, 0, 0, 0, 0}, {2, 6}, false},
};
constexpr std::size_t kRowCount = std::size(kRows);
static_assert(kRowCount <= std::tuple_size_v<decltype(ProbePage::errnos)>);

constexpr int kKilledByFilter = -1;

void try_from_next(ProbePage& page) {
  for (; page.next < kRowCount; ++page.next) {
    const auto& [a, b, c, d, e] = kRows[page.next].arguments;
    const long result = syscall(kRows[page.next].number, a, b, c, d, e);
    // A kernel that is not Linux might take the flags of the clone row: its child must not go on with the list.
    if (result == 0 && kRows[page.next].number == SYS_clone) _exit(0);
    page.errnos[page.next] = result < 0 ? errno : 0;
  }
}

void probe_syscalls(ProbePage& page) {
  // landlock_restrict_self and a filter answer EPERM to a process that could still gain privileges.
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // With a mount namespace of its own the caller holds CAP_SYS_ADMIN there; where that is refused it goes on without.
  if (enter_user_namespace(page)) unshare(CLONE_NEWNS);
  page.step = 0;
  try_from_next(page);
}

void probe_syscalls_as_we_are(ProbePage& page) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  try_from_next(page);
}

// A filter may kill instead of answering; the list goes on behind the call that was fatal.
std::array<int, kRowCount> try_all(void (*body)(ProbePage&)) {
  std::array<int, kRowCount> answers{};
  std::uint32_t first = 0;
  while (first < kRowCount) {
    const ProbeResult probe = run_probe(body, {.first = first});
    for (std::uint32_t i = first; i < std::min<std::size_t>(probe.page.next, kRowCount); ++i) answers[i] = probe.page.errnos[i];
    if (probe.end == ProbeEnd::kReturned) break;
    if (probe.page.next < kRowCount) answers[probe.page.next] = kKilledByFilter;
    first = probe.page.next + 1;
  }
  return answers;
}

enum class Answer : std::uint8_t { kKernel, kAbsent, kFiltered, kUnknown };

struct Situation {
  bool admin = false;   // the calls were made with CAP_SYS_ADMIN over the mount namespace
  bool filter = false;  // a seccomp filter was inherited
  KernelVersion kernel;
};

Answer classify(const SyscallRow& row, int answer, const Situation& situation) {
  const bool expected = situation.kernel.at_least(row.since.major, row.since.minor);
  if (answer == ENOSYS) return situation.filter && expected ? Answer::kFiltered : Answer::kAbsent;
  if (answer == kKilledByFilter) return Answer::kFiltered;
  if (answer == EPERM || answer == EACCES) return row.needs_admin && !situation.admin ? Answer::kUnknown : Answer::kFiltered;
  return Answer::kKernel;
}

// System calls that one feature needs together.
struct Feature {
  std::string_view id;
  std::string_view title;
  std::string_view names;  // separated by blanks
  Check::Need need;
  Check::Status when_absent;
  std::string_view lost;
};

constexpr Feature kFeatures[] = {
    {"kernel.clone3", "clone3", "clone3", Check::Need::kProtection, Check::Status::kDegraded,
     "starting a sandbox inside its cgroup from its first instruction"},
    {"kernel.mount_api", "mount API by descriptor", "fsopen fsconfig fsmount open_tree move_mount", Check::Need::kRequired,
     Check::Status::kMissing, "building a root file system out of reach"},
    {"kernel.mount_setattr", "mount_setattr", "mount_setattr", Check::Need::kProtection, Check::Status::kDegraded,
     "recursive read-only and id-mapped mounts"},
    {"kernel.openat2", "openat2", "openat2", Check::Need::kProtection, Check::Status::kDegraded,
     "path walks that the kernel keeps inside the root"},
    {"kernel.close_range", "close_range", "close_range", Check::Need::kProtection, Check::Status::kDegraded,
     "closing all inherited descriptors in one step"},
    {"kernel.pidfd", "pidfds", "pidfd_open pidfd_send_signal pidfd_getfd", Check::Need::kProtection, Check::Status::kDegraded,
     "signals that cannot reach a stranger's process"},
    {"kernel.setns", "setns", "setns", Check::Need::kOptional, Check::Status::kMissing, "entering a running container"},
    {"kernel.execveat", "execveat", "execveat", Check::Need::kProtection, Check::Status::kDegraded, "the embedded init process"},
};

bool lists(std::string_view names, std::string_view name) {
  for (const std::string_view one : split(names, ' '))
    if (one == name) return true;
  return false;
}

Check feature_check(const Feature& feature, const std::array<Answer, kRowCount>& answers, const DoctorContext& context) {
  Check check{
      .id = std::string(feature.id), .title = std::string(feature.title), .status = Check::Status::kOk, .need = feature.need};
  std::vector<std::string> filtered;
  std::vector<std::string> absent;
  bool unknown = false;
  KernelVersion since;
  for (std::size_t i = 0; i < kRowCount; ++i) {
    if (!lists(feature.names, kRows[i].name)) continue;
    if (answers[i] == Answer::kFiltered) filtered.emplace_back(kRows[i].name);
    if (answers[i] == Answer::kAbsent) {
      absent.emplace_back(kRows[i].name);
      if (!since.at_least(kRows[i].since.major, kRows[i].since.minor)) since = kRows[i].since;
    }
    unknown = unknown || answers[i] == Answer::kUnknown;
  }
  if (filtered.empty() && absent.empty()) {
    check.found = unknown ? "cannot be told from outside of a user namespace" : "there";
    if (unknown) check.status = Check::Status::kInfo;
    return check;
  }
  check.status = feature.when_absent;
  check.lost = feature.lost;
  if (!filtered.empty()) {
    check.found = "refused by a seccomp filter or a security module: " + join(filtered, ", ");
    check.remedy = loosening(context.surroundings.kind).seccomp;
  } else {
    check.found = "not in this kernel: " + join(absent, ", ");
    check.remedy = "run Linux " + std::to_string(since.major) + "." + std::to_string(since.minor) + " or newer, built with it";
  }
  return check;
}

Check blocked_list(const std::array<Answer, kRowCount>& answers, const DoctorContext& context) {
  Check check{.id = "host.blocked_syscalls",
              .title = "system calls refused by a filter",
              .status = Check::Status::kOk,
              .found = "none of those that clawrun uses"};
  std::vector<std::string> blocked;
  for (std::size_t i = 0; i < kRowCount; ++i)
    if (answers[i] == Answer::kFiltered) blocked.emplace_back(kRows[i].name);
  if (blocked.empty()) return check;
  check.status = Check::Status::kDegraded;
  check.found = join(blocked, ", ");
  check.lost = "what these calls are for";
  check.remedy = loosening(context.surroundings.kind).seccomp;
  return check;
}

}  // namespace

void check_syscalls(const DoctorContext& context, Checks& out) {
  const bool userns = run_probe([](ProbePage& page) { enter_user_namespace(page); }).ok();
  const Situation situation{
      .admin = userns || context.blocks.privileged, .filter = context.blocks.seccomp_filter, .kernel = context.facts.kernel};
  const auto errnos = try_all(userns ? probe_syscalls : probe_syscalls_as_we_are);
  std::array<Answer, kRowCount> answers{};
  for (std::size_t i = 0; i < kRowCount; ++i) answers[i] = classify(kRows[i], errnos[i], situation);
  for (const Feature& feature : kFeatures) out.push_back(feature_check(feature, answers, context));
  out.push_back(blocked_list(answers, context));
}

}  // namespace clawrun::host
