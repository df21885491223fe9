// The mounts of a sandbox, tried in a mount namespace that dies with its only process.
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/unique_fd.h"
#include "host/doctor_checks.h"
#include "host/probe.h"

// linux/mount.h of some distributions lacks what came with the 5.12 kernel.
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

namespace clawrun::host {

namespace {

enum Step : std::int32_t {
  kStepMountNamespace = kFirstOwnStep,
  kStepPrivate,
  kStepPidNamespace,
  kStepMount,
  kStepScratch,
  kStepUserNamespaceOfMap,
  kStepTree,
  kStepIdmap,
  kStepPivot,
};

struct MountRow {
  const char* fstype;
  const char* options;
  Check::Need need;
  std::string_view lost;
};

constexpr MountRow kMounts[] = {
    {"tmpfs", "size=1m,mode=755", Check::Need::kRequired, "/tmp, /dev/shm and the root of a sandbox"},
    {"devpts", "newinstance,ptmxmode=0666,mode=620", Check::Need::kProtection, "terminals of its own"},
    {"mqueue", nullptr, Check::Need::kOptional, "/dev/mqueue"},
};

bool enter_private_mounts(ProbePage& page) {
  if (!enter_user_namespace(page)) return false;
  if (unshare(CLONE_NEWNS | CLONE_NEWIPC) != 0) return page.failed(kStepMountNamespace);
  // A shared mount would carry the trial out into the host's namespace.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return page.failed(kStepPrivate);
  return true;
}

void probe_mount(ProbePage& page) {
  const auto* row = static_cast<const MountRow*>(page.input);
  if (!enter_private_mounts(page)) return;
  if (mount("none", "/", row->fstype, MS_NOSUID | MS_NOEXEC, row->options) != 0) page.failed(kStepMount);
}

void mount_proc(ProbePage& page) {
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) page.failed(kStepMount);
}

void probe_proc(ProbePage& page) {
  if (!enter_private_mounts(page)) return;
  if (unshare(CLONE_NEWPID) != 0) {
    page.failed(kStepPidNamespace);
  } else {
    run_in_grandchild(page, mount_proc, kStepMount);
  }
}

// Into a tmpfs that nothing outside can see: at /tmp, or at /proc where a host has no /tmp.
bool enter_scratch(ProbePage& page) {
  for (const char* directory : {"/tmp", "/proc"})
    if (mount("none", directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") == 0 && chdir(directory) == 0) return true;
  return page.failed(kStepScratch);
}

void probe_overlay(ProbePage& page) {
  if (!enter_private_mounts(page) || !enter_scratch(page)) return;
  for (const char* name : {"lower", "upper", "work", "merged"}) {
    if (mkdir(name, 0700) != 0) {
      page.failed(kStepScratch);
      return;
    }
  }
  if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr") != 0)
    page.failed(kStepMount);
}

void probe_pivot_root(ProbePage& page) {
  if (!enter_private_mounts(page) || !enter_scratch(page)) return;
  if (syscall(SYS_pivot_root, ".", ".") != 0) page.failed(kStepPivot);
}

// A user namespace that maps uid and gid 0 to an id that nobody has; its only process is dead when this returns.
int open_mapped_namespace() {
  const auto child = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0L, 0L, 0L, 0L));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  if (child < 0) return -1;
  int fd = -1;
  char path[48];
  const auto in_proc = [&path, child](const char* name) {
    char digits[12];
    std::size_t count = 0;
    for (auto rest = static_cast<unsigned>(child); rest > 0; rest /= 10) digits[count++] = static_cast<char>('0' + (rest % 10));
    char* at = stpcpy(path, "/proc/");
    while (count > 0) *at++ = digits[--count];
    stpcpy(at, name);
    return path;
  };
  constexpr char kMap[] = "0 2147400000 1";
  const auto write_map = [&](const char* name) {
    const UniqueFd map(open(in_proc(name), O_WRONLY | O_CLOEXEC));
    return map.valid() && write(map.get(), kMap, sizeof kMap - 1) > 0;
  };
  if (write_map("/uid_map") && write_map("/gid_map")) fd = open(in_proc("/ns/user"), O_RDONLY | O_CLOEXEC);
  const int saved = errno;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  errno = saved;
  return fd;
}

// The host's file system is not changed by it: the mapped tree is detached and goes with the last descriptor.
void probe_idmap(ProbePage& page) {
  const UniqueFd namespace_fd(open_mapped_namespace());
  if (!namespace_fd.valid()) {
    page.failed(kStepUserNamespaceOfMap);
    return;
  }
  const auto* path = static_cast<const char*>(page.input);
  const UniqueFd tree(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree.valid()) {
    page.failed(kStepTree);
    return;
  }
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(namespace_fd.get());
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) page.failed(kStepIdmap);
}

Check mount_check(const DoctorContext& context, const std::string& fstype, Check::Need need, std::string_view lost,
                  const ProbeResult& probe) {
  Check check{.id = "mount." + fstype, .title = fstype + " in a user namespace", .need = need};
  if (probe.ok()) {
    check.status = Check::Status::kOk;
    check.found = "mounted in a trial";
    return check;
  }
  const Explanation explanation = explain_mount(context.blocks, fstype, probe.error());
  check.status = Check::Status::kMissing;
  check.found = "refused with " + errno_text(probe.error()) + ": " + explanation.reason;
  check.lost = lost;
  check.remedy = explanation.remedy;
  return check;
}

Check pivot_check(const DoctorContext& context) {
  Check check{.id = "mount.pivot_root", .title = "pivot_root", .need = Check::Need::kRequired};
  const ProbeResult probe = run_probe(probe_pivot_root);
  check.status = probe.ok() ? Check::Status::kOk : Check::Status::kMissing;
  check.found = probe.ok() ? "done in a trial" : "refused with " + errno_text(probe.error());
  if (probe.ok()) return check;
  check.lost = "taking the host's root out of reach";
  check.remedy = loosening(context.surroundings.kind).seccomp;
  return check;
}

std::string idmap_remedy(const DoctorContext& context, const ProbeResult& probe) {
  if (!context.facts.kernel.at_least(5, 12)) return "run Linux 5.12 or newer (5.19 for overlay, 6.3 for tmpfs)";
  if (probe.page.step == kStepUserNamespaceOfMap) return explain(context.blocks, probe.error()).remedy;
  if (probe.page.step == kStepTree && context.blocks.chrooted) return "start clawrun outside of the chroot";
  if (probe.error() == EINVAL) return "keep the directory on ext4, xfs, btrfs or tmpfs (the file system there knows no id maps)";
  return std::string(loosening(context.surroundings.kind).seccomp);
}

Check idmap_check(const DoctorContext& context, const char* path, std::string id, const std::string& where) {
  Check check{.id = std::move(id), .title = "id-mapped mounts of " + where};
  if (!context.facts.privileged) {
    check.found = "not tried: only root of the machine may map ids of a mount, and a user's sandbox needs no mapping";
    return check;
  }
  check.need = Check::Need::kProtection;
  const ProbeResult probe = run_probe(probe_idmap, {.input = path});
  check.status = probe.ok() ? Check::Status::kOk : Check::Status::kDegraded;
  check.found = probe.ok() ? "mapped in a trial" : "refused with " + errno_text(probe.error());
  if (probe.ok()) return check;
  check.lost = "files that a sandbox started by root writes into bound directories of " + where + " belonging to their owner";
  check.remedy = idmap_remedy(context, probe);
  return check;
}

}  // namespace

void check_mounts(const DoctorContext& context, Checks& out) {
  // Where no user namespace can be had there is one reason for all, and it is reported already.
  if (run_probe([](ProbePage& page) { enter_user_namespace(page); }).ok()) {
    for (const MountRow& row : kMounts)
      out.push_back(mount_check(context, row.fstype, row.need, row.lost, run_probe(probe_mount, {.input = &row})));
    out.push_back(mount_check(context, "proc", Check::Need::kRequired, "a /proc of its own", run_probe(probe_proc)));
    out.push_back(mount_check(context, "overlay", Check::Need::kOptional,
                              "--writable (a root that can be written and is thrown away)", run_probe(probe_overlay)));
    out.push_back(pivot_check(context));
  }
  out.push_back(idmap_check(context, "/", "mount.idmap_root", "/"));
  out.push_back(idmap_check(context, ".", "mount.idmap_cwd", "the working directory"));
}

}  // namespace clawrun::host
