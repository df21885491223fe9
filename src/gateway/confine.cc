#include "gateway/confine.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <vector>

#include "base/unique_fd.h"
#include "tables/landlock.h"

namespace clawrun::gateway {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;  // x32's numbers differ from all that are allowed
#elif defined(__aarch64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "the filter is known for x86_64 and aarch64 only"
#endif

constexpr rlim_t kAddressSpaceBytes = rlim_t{1} << 30U;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

// What the loop, c-ares, OpenSSL and the allocator need. No call has a path in it.
constexpr int kAllowedCalls[] = {
    SYS_read,       SYS_write,        SYS_readv,           SYS_writev,       SYS_recvfrom,    SYS_recvmsg,
    SYS_sendto,     SYS_sendmsg,      SYS_accept4,         SYS_connect,      SYS_getsockname, SYS_getpeername,
    SYS_getsockopt, SYS_setsockopt,   SYS_shutdown,        SYS_close,        SYS_splice,      SYS_pipe2,
    SYS_epoll_ctl,  SYS_epoll_pwait,  SYS_fcntl,           SYS_mmap,         SYS_munmap,      SYS_mremap,
    SYS_madvise,    SYS_brk,          SYS_clock_gettime,   SYS_gettimeofday, SYS_getrandom,   SYS_futex,
    SYS_getpid,     SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit,         SYS_exit_group,
#ifdef SYS_epoll_wait
    SYS_epoll_wait, SYS_time,
#endif
};
// Of libraries that look for a file and go on without it.
constexpr int kMissingCalls[] = {SYS_openat, SYS_newfstatat};

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter answer(std::uint32_t value) {
  return BPF_STMT(BPF_RET | BPF_K, value);
}
// Skips the next instruction unless the accumulator has that value.
constexpr sock_filter unless(std::uint32_t value) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
}

std::vector<sock_filter> filter() {
  const std::size_t number = offsetof(seccomp_data, nr);
  const std::size_t first = offsetof(seccomp_data, args[0]);
  const std::size_t third = offsetof(seccomp_data, args[2]);
  std::vector<sock_filter> program{load(offsetof(seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0),
                                   answer(SECCOMP_RET_KILL_PROCESS), load(number)};
  for (const int call : kAllowedCalls) {
    // Memory is never executable: mmap is looked at below.
    if (call == SYS_mmap) continue;
    program.push_back(unless(static_cast<std::uint32_t>(call)));
    program.push_back(answer(SECCOMP_RET_ALLOW));
  }
  for (const int call : kMissingCalls) {
    program.push_back(unless(static_cast<std::uint32_t>(call)));
    program.push_back(answer(SECCOMP_RET_ERRNO | EACCES));
  }
  const std::vector<sock_filter> rest{
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
      load(third),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4 /* PROT_EXEC */, 5, 0),
      answer(SECCOMP_RET_ALLOW),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      load(first),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
      answer(SECCOMP_RET_KILL_PROCESS),
      answer(SECCOMP_RET_ALLOW),
  };
  program.insert(program.end(), rest.begin(), rest.end());
  return program;
}

Result<> set_limit(__rlimit_resource resource, rlim_t value, const char* doing) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return fail_errno(doing);
  limit.rlim_cur = limit.rlim_max = std::min(limit.rlim_max, value);
  if (setrlimit(resource, &limit) != 0) return fail_errno(doing);
  return {};
}

Result<> take_ids(const Confinement& confinement) {
  if (geteuid() != 0) return {};
  if (setgroups(0, nullptr) != 0) return fail_errno("leaving the groups of root");
  if (setresgid(confinement.gid, confinement.gid, confinement.gid) != 0) return fail_errno("leaving the group of root");
  if (setresuid(confinement.uid, confinement.uid, confinement.uid) != 0) return fail_errno("becoming an unprivileged user");
  return {};
}

Result<> drop_capabilities() {
  // The bounding set needs a capability, and is of no use to a process that can execute nothing: the others are what counts.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return fail_errno("clearing ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) return fail_errno("dropping capabilities");
  return {};
}

Result<> enter_landlock() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) return {};
  constexpr std::uint64_t kBindTcp = 1;
  const tables::LandlockAbi& row = tables::landlock_abi(static_cast<int>(abi));
  const std::uint64_t attributes[3] = {row.fs, row.net & kBindTcp, row.scoped};
  const UniqueFd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, attributes, row.attr_size, 0)));
  if (!ruleset.valid() || syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return fail_errno("entering a Landlock domain");
  return {};
}

}  // namespace

std::size_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_max) : 0;
}

Result<> confine(const Confinement& confinement) {
  TRY(set_limit(RLIMIT_CORE, 0, "limiting core files"));
  TRY(set_limit(RLIMIT_NOFILE, confinement.descriptors, "limiting descriptors"));
  // The shadow of a sanitizer is larger than any limit that means something.
  if (!kIsSanitized) TRY(set_limit(RLIMIT_AS, kAddressSpaceBytes, "limiting memory"));
  TRY(take_ids(confinement));
  TRY(drop_capabilities());
  // A change of ids clears this: prctl(2).
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return fail_errno("asking for a signal at the supervisor's end");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("closing this process to others");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("setting no_new_privs");
  TRY(enter_landlock());
  if (kIsSanitized) return {};
  std::vector<sock_filter> program = filter();
  const sock_fprog loaded{static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &loaded, 0, 0) != 0) return fail_errno("loading the filter");
  return {};
}

}  // namespace clawrun::gateway
