#include "seccomp/adjust.h"

#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstddef>

#include "seccomp/profile.h"
#include "seccomp/table.h"

namespace clawrun::seccomp {

void ignore_start_cookie(Compiled& compiled) {
  constexpr auto kHigh = static_cast<std::uint32_t>(kStartCookiePlaceholder >> 32U);
  constexpr auto kLow = static_cast<std::uint32_t>(kStartCookiePlaceholder);
  for (std::vector<sock_filter>& filter : compiled.filters)
    for (sock_filter& instruction : filter)
      if (instruction.code == (BPF_JMP | BPF_JEQ | BPF_K) && (instruction.k == kHigh || instruction.k == kLow))
        instruction.jf = instruction.jt;
  compiled.has_start_cookie = false;
}

std::vector<sock_filter> keep_parent_death_signal() {
  constexpr std::uint32_t kNr = offsetof(seccomp_data, nr);
  constexpr std::uint32_t kArch = offsetof(seccomp_data, arch);
  constexpr std::uint32_t kOption = offsetof(seccomp_data, args);  // the low half: both our machines are little-endian
  return {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit_arch(kNativeArch), 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(syscall_number(kNativeArch, "prctl").number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kOption),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
}

}  // namespace clawrun::seccomp
