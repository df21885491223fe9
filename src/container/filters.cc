#include "container/filters.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "seccomp/interpret.h"
#include "seccomp/table.h"

namespace clawrun::container {

namespace {

bool lets_through(const Filters& filters, const seccomp_data& call) {
  return std::ranges::all_of(filters.programs, [&](const std::vector<sock_filter>& program) {
    const auto answer = seccomp::run_filter(program, call);
    if (!answer) return false;
    const std::uint32_t action = *answer & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
  });
}

}  // namespace

Result<int> load_filters(const Filters& filters) {
  int listener = -1;
  for (std::size_t i = 0; i < filters.programs.size(); ++i) {
    const auto& program = filters.programs[i];
    const sock_fprog loaded{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
    unsigned flags = filters.flags;
    const bool listens = filters.notify && i + 1 == filters.programs.size();
    if (listens) flags |= filters.listener_flags;
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded);
    if (result < 0) return fail_errno("unable to init seccomp: loading the filter");
    if (listens) listener = static_cast<int>(result);
  }
  return listener;
}

bool let_join(const Filters& filters, int sync) {
  struct Call {
    int number;
    std::uint64_t words[3];
  };
  const auto socket = static_cast<std::uint64_t>(sync);
  const Call calls[] = {{SYS_clone, {CLONE_PARENT}},
                        {SYS_exit_group, {}},
                        {SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
                        {SYS_prctl, {PR_SET_PDEATHSIG, 0}},
                        {SYS_read, {socket}},
                        {SYS_write, {socket}},
                        {SYS_close, {}},
                        {SYS_setsid, {}},
                        {SYS_ioctl, {0, TIOCSCTTY}},
                        {SYS_prlimit64, {}}};
  return std::ranges::all_of(calls, [&](const Call& call) {
    seccomp_data data{};
    data.nr = call.number;
    data.arch = seccomp::audit_arch(seccomp::kNativeArch);
    std::ranges::copy(call.words, data.args);
    return lets_through(filters, data);
  });
}

}  // namespace clawrun::container
