// Features of the kernel that stand beside the sandbox itself: executable memfds, keyrings, pressure, foreign binaries.
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "base/unique_fd.h"
#include "host/doctor_checks.h"
#include "host/files.h"
#include "host/probe.h"

// Constants of Linux 6.3, newer than the C library's headers.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace clawrun::host {

namespace {

enum Step : std::int32_t { kStepMemfd = kFirstOwnStep, kStepExec, kStepKeyring };

void probe_memfd(ProbePage& page) {
  int fd = static_cast<int>(syscall(SYS_memfd_create, "clawrun-doctor", MFD_CLOEXEC | MFD_EXEC));
  if (fd < 0 && errno == EINVAL) fd = static_cast<int>(syscall(SYS_memfd_create, "clawrun-doctor", MFD_CLOEXEC));  // before 6.3
  if (fd < 0) {
    page.failed(kStepMemfd);
    return;
  }
  // An empty file is no program, which the kernel says (ENOEXEC) only after it has allowed the execution.
  char name[] = "x";
  char* const arguments[] = {name, nullptr};
  char* const environment[] = {nullptr};
  syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
  if (errno != ENOEXEC) page.failed(kStepExec);
}

Check memfd(const DoctorContext& context) {
  Check check{.id = "kernel.memfd_exec", .title = "executable memfd", .need = Check::Need::kProtection};
  const ProbeResult probe = run_probe(probe_memfd);
  const auto setting = read_number("/proc/sys/vm/memfd_noexec");
  const std::string shown = setting ? " (vm.memfd_noexec=" + std::to_string(*setting) + ")" : "";
  check.status = probe.ok() ? Check::Status::kOk : Check::Status::kDegraded;
  check.found = (probe.ok() ? "allowed" : "refused with " + errno_text(probe.error())) + shown;
  if (probe.ok()) return check;
  check.lost = "the embedded init process (use --no-init)";
  check.remedy =
      setting.value_or(0) == 2 ? "sysctl -w vm.memfd_noexec=1" : std::string(loosening(context.surroundings.kind).seccomp);
  return check;
}

void probe_keyring(ProbePage& page) {
  // The new keyring has no name and dies with its only process.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) page.failed(kStepKeyring);
}

// The quota column of this user in /proc/key-users: "uid: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes" (keyrings(7)).
std::string key_quota(std::uint32_t uid) {
  const std::string table = read_or_empty("/proc/key-users");
  for (const std::string_view line : split(table, '\n')) {
    std::vector<std::string_view> words;
    for (const std::string_view word : split(line, ' '))
      if (!word.empty()) words.push_back(word);
    if (words.size() >= 4 && words[0] == std::to_string(uid) + ":") return " (keys of this user: " + std::string(words[3]) + ")";
  }
  return {};
}

Check keyring(const DoctorContext& context) {
  Check check{.id = "kernel.keyring", .title = "session keyring", .need = Check::Need::kProtection};
  const ProbeResult probe = run_probe(probe_keyring);
  const int error = probe.ok() ? 0 : probe.error();
  if (error == 0) {
    check.status = Check::Status::kOk;
    check.found = "a new one joined in a trial" + key_quota(context.facts.uid);
    return check;
  }
  if (error == ENOSYS && !context.blocks.seccomp_filter) {
    check.found = "this kernel has no keyrings, so that none can be shared";
    return check;
  }
  check.status = Check::Status::kDegraded;
  check.found = "refused with " + errno_text(error) + key_quota(context.facts.uid);
  check.lost = "a session keyring of its own for each sandbox";
  check.remedy =
      error == EDQUOT ? "sysctl -w kernel.keys.maxkeys=2000" : std::string(loosening(context.surroundings.kind).seccomp);
  return check;
}

Check pressure() {
  Check check{.id = "kernel.psi", .title = "pressure stall information"};
  const auto text = read_file("/proc/pressure/memory");
  check.status = text ? Check::Status::kOk : Check::Status::kMissing;
  check.found = text ? "there" : text.error().errno_value == EOPNOTSUPP ? "built, but switched off" : "not in this kernel";
  if (text) return check;
  check.lost = "pressure numbers in statistics";
  check.remedy = text.error().errno_value == EOPNOTSUPP ? "boot with psi=1" : "run a kernel with CONFIG_PSI=y";
  return check;
}

Check binfmt() {
  Check check{.id = "kernel.binfmt", .title = "foreign binary formats"};
  const std::string status = read_or_empty("/proc/sys/fs/binfmt_misc/status");
  check.found =
      status.empty() ? "binfmt_misc is not mounted: programs of this machine's own kind only" : "binfmt_misc is " + status;
  return check;
}

}  // namespace

void check_kernel_features(const DoctorContext& context, Checks& out) {
  out.push_back(memfd(context));
  out.push_back(keyring(context));
  out.push_back(pressure());
  out.push_back(binfmt());
}

}  // namespace clawrun::host
