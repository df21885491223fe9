#include "host/core_sched.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "host/files.h"

namespace clawrun::host {

namespace {

bool is_switched_off(std::string_view smt_control) {
  return smt_control == "off" || smt_control == "forceoff";
}

std::string switch_on(std::string_view smt_control) {
  return smt_control == "off" ? std::string("switch SMT on with it: echo on >") + kSmtControlFile
                              : "boot without nosmt=force to have SMT with it";
}

std::string description_of(int errno_value) {
  const char* text = strerrordesc_np(errno_value);
  return text != nullptr ? text : "error " + std::to_string(errno_value);
}

}  // namespace

int probe_core_scheduling() {
  std::uint64_t cookie = 0;
  return ::prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie) == 0 ? 0 : errno;
}

// A kernel without core scheduling says EINVAL before it looks at the processor, so the text has to tell.
bool cores_are_shared(int errno_value, std::string_view smt_control) {
  return errno_value != ENODEV && smt_control != "notsupported" && !is_switched_off(smt_control);
}

Explanation explain_core_scheduling(int errno_value, std::string_view smt_control) {
  switch (errno_value) {
    case 0:
      return {};
    case ENODEV:
      if (is_switched_off(smt_control))
        return {"SMT is switched off on this machine: no two programs share a core, and there is nothing to keep apart",
                switch_on(smt_control)};
      return {"no core of this machine runs two threads at once, so there is nothing to keep apart",
              "on a virtual machine only its host can do this: show the guest the threads of its cores"};
    case EINVAL:
      return {"this kernel has no core scheduling", "run Linux 5.14 or newer with CONFIG_SCHED_CORE=y"};
    default:
      // The kernel itself refuses nobody a look at its own cookie.
      return {"PR_SCHED_CORE is refused: " + description_of(errno_value),
              "start clawrun outside of the seccomp filter that refuses prctl"};
  }
}

std::string core_scheduling_refusal() {
  const int error = probe_core_scheduling();
  if (error == 0) return {};
  const Explanation explanation = explain_core_scheduling(error, read_or_empty(kSmtControlFile));
  return explanation.reason + "; " + explanation.remedy;
}

}  // namespace clawrun::host
