// The two walls that a process builds around itself: seccomp filters and Landlock.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "base/text.h"
#include "host/doctor_checks.h"
#include "host/files.h"
#include "host/probe.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace clawrun::host {

namespace {

enum Step : std::int32_t { kStepNoNewPrivs = kFirstOwnStep, kStepLoad, kStepEffect, kStepLandlock };

// getppid answers this after the trial filter is loaded, and never otherwise.
constexpr int kMark = ENOTUNIQ;

int load_mark_filter(unsigned flags) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | kMark),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = static_cast<unsigned short>(std::size(code)), .filter = code};
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

void probe_filter(ProbePage& page) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    page.failed(kStepNoNewPrivs);
  } else if (load_mark_filter(0) != 0) {
    page.failed(kStepLoad);
  } else if (syscall(SYS_getppid) != -1 || errno != kMark) {
    page.failed(kStepEffect);
  }
}

void probe_listener(ProbePage& page) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    page.failed(kStepNoNewPrivs);
  } else if (load_mark_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0) {
    page.failed(kStepLoad);
  }
}

Check filter_check(const DoctorContext& context) {
  Check check{.id = "seccomp.filter", .title = "seccomp filters", .need = Check::Need::kRequired};
  const ProbeResult probe = run_probe(probe_filter);
  check.status = probe.ok() ? Check::Status::kOk : Check::Status::kMissing;
  check.found = probe.ok() ? "loaded in a trial, and it took effect"
                : probe.end == ProbeEnd::kReturned && probe.page.step == kStepEffect
                    ? "loaded in a trial, without effect"
                    : "refused with " + errno_text(probe.error());
  if (probe.ok()) return check;
  check.lost = "the wall around the system calls";
  check.remedy = probe.error() == EINVAL ? "run a kernel with CONFIG_SECCOMP_FILTER=y"
                                         : std::string(loosening(context.surroundings.kind).seccomp);
  return check;
}

struct FlagRow {
  std::string_view name;
  unsigned long flags;  // as given: the last one is valid only together with a listener
  KernelVersion since;
};
constexpr FlagRow kFlags[] = {
    {"TSYNC", SECCOMP_FILTER_FLAG_TSYNC, {3, 17}},
    {"LOG", SECCOMP_FILTER_FLAG_LOG, {4, 14}},
    {"SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW, {4, 17}},
    {"NEW_LISTENER", SECCOMP_FILTER_FLAG_NEW_LISTENER, {5, 0}},
    {"WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | SECCOMP_FILTER_FLAG_NEW_LISTENER, {5, 19}},
};

struct ActionRow {
  std::string_view name;
  std::uint32_t action;
};
constexpr ActionRow kActions[] = {
    {"kill_process", SECCOMP_RET_KILL_PROCESS},
    {"kill_thread", SECCOMP_RET_KILL_THREAD},
    {"trap", SECCOMP_RET_TRAP},
    {"errno", SECCOMP_RET_ERRNO},
    {"user_notif", SECCOMP_RET_USER_NOTIF},
    {"trace", SECCOMP_RET_TRACE},
    {"log", SECCOMP_RET_LOG},
    {"allow", SECCOMP_RET_ALLOW},
};

void sort_in(std::vector<std::string>& there, std::vector<std::string>& absent, bool present, std::string_view name) {
  (present ? there : absent).emplace_back(name);
}

Check list_check(std::string id, std::string title, const std::vector<std::string>& there, const std::vector<std::string>& absent,
                 std::string lost) {
  Check check{.id = std::move(id),
              .title = std::move(title),
              .status = Check::Status::kOk,
              .found = there.empty() ? "none" : join(there, ", ")};
  if (absent.empty()) return check;
  check.status = Check::Status::kDegraded;
  check.lost = std::move(lost) + " (" + join(absent, ", ") + ")";
  check.remedy = "run Linux 5.19 or newer";
  return check;
}

Check flags_check() {
  std::vector<std::string> there;
  std::vector<std::string> absent;
  // A known flag gets as far as reading the program, which is at no address: EFAULT.
  for (const FlagRow& row : kFlags)
    sort_in(there, absent, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, row.flags, nullptr) != 0 && errno == EFAULT, row.name);
  return list_check("seccomp.flags", "seccomp flags", there, absent, "options of seccomp profiles");
}

Check actions_check() {
  std::vector<std::string> there;
  std::vector<std::string> absent;
  for (const ActionRow& row : kActions)
    sort_in(there, absent, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &row.action) == 0, row.name);
  return list_check("seccomp.actions", "seccomp actions", there, absent, "actions of seccomp profiles");
}

Check listener_check(const DoctorContext& context) {
  Check check{.id = "seccomp.listener", .title = "seccomp notification"};
  const ProbeResult probe = run_probe(probe_listener);
  check.status = probe.ok() ? Check::Status::kOk : Check::Status::kMissing;
  check.found = probe.ok() ? "a listener made in a trial" : "refused with " + errno_text(probe.error());
  if (probe.ok()) return check;
  if (probe.error() == EBUSY) check.found = "taken: the filter around us has a listener already, and the kernel allows one";
  check.lost = "system calls that a supervisor answers";
  check.remedy = probe.error() == EINVAL ? "run Linux 5.0 or newer" : std::string(loosening(context.surroundings.kind).seccomp);
  return check;
}

struct AbiRow {
  std::string_view kernel;
  std::string_view gives;
  int abi;
  bool used;  // by the second wall of `exec`
};
constexpr AbiRow kAbis[] = {
    {"5.13", "access to files by directory tree", 1, true},
    {"5.19", "moves and links between trees", 2, true},
    {"6.2", "truncation", 3, true},
    {"6.7", "TCP bind and connect", 4, true},
    {"6.10", "ioctls of devices", 5, true},
    {"6.12", "abstract sockets and signals kept inside", 6, true},
    {"6.15", "control over audit records", 7, false},
};

Check no_landlock(const DoctorContext& context, int error) {
  Check check{.id = "landlock.abi", .title = "Landlock", .status = Check::Status::kMissing, .need = Check::Need::kProtection};
  check.lost = "the second wall around files and TCP ports";
  const bool listed = read_or_empty("/sys/kernel/security/lsm").find("landlock") != std::string::npos;
  if (error == EOPNOTSUPP) {
    check.found = "built into this kernel, but switched off at boot";
    check.remedy = "boot with landlock first in the list of security modules: lsm=landlock,... on the kernel's command line";
  } else if (error == EPERM || listed || (context.blocks.seccomp_filter && context.facts.kernel.at_least(6, 1))) {
    check.found = listed           ? "hidden by a seccomp filter"
                  : error == EPERM ? "refused by a seccomp filter"
                                   : "hidden by a seccomp filter, or not in this kernel";
    check.remedy = loosening(context.surroundings.kind).seccomp;
  } else {
    check.found = "not in this kernel";
    check.remedy = "run Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK=y";
  }
  return check;
}

void probe_landlock(ProbePage& page) {
  const landlock_ruleset_attr attributes{.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const int fd = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0));
  if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0) page.failed(kStepLandlock);
}

}  // namespace

void check_seccomp(const DoctorContext& context, Checks& out) {
  out.push_back(filter_check(context));
  out.push_back(flags_check());
  out.push_back(actions_check());
  out.push_back(listener_check(context));
}

void check_landlock(const DoctorContext& context, Checks& out) {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi <= 0) {
    out.push_back(no_landlock(context, errno));
    return;
  }
  if (const ProbeResult probe = run_probe(probe_landlock); !probe.ok()) {
    out.push_back(no_landlock(context, probe.error()));
    return;
  }
  std::vector<std::string> gives;
  std::vector<std::string> lacks;
  std::string kernel;
  for (const AbiRow& row : kAbis) {
    if (row.abi > abi && !row.used) continue;
    (row.abi <= abi ? gives : lacks).emplace_back(row.gives);
    if (row.abi > abi) kernel = row.kernel;
  }
  Check check{.id = "landlock.abi", .title = "Landlock", .status = Check::Status::kOk, .need = Check::Need::kProtection};
  check.found = "ABI " + std::to_string(abi) + ", a rule set tried: " + join(gives, ", ");
  if (!lacks.empty()) {
    check.status = Check::Status::kDegraded;
    check.lost = "in the second wall: " + join(lacks, ", ");
    check.remedy = "run Linux " + kernel + " or newer";
  }
  out.push_back(std::move(check));
}

}  // namespace clawrun::host
