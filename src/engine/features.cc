#include "oci/features.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "engine/containers.h"

namespace clawrun::engine {

namespace {

// seccomp(2): a filter that is not there is EFAULT where the flag is known, and EINVAL where it is not.
unsigned kernel_filter_flags() {
  constexpr unsigned kFlags[] = {SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                                 SECCOMP_FILTER_FLAG_NEW_LISTENER};
  constexpr unsigned kWaitKillable = 1U << 5U;  // only beside a listener
  const auto knows = [](unsigned flags) {
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr) != 0 && errno == EFAULT;
  };
  unsigned known = 0;
  for (const unsigned flag : kFlags)
    if (knows(flag)) known |= flag;
  if (knows(kWaitKillable | SECCOMP_FILTER_FLAG_NEW_LISTENER)) known |= kWaitKillable;
  return known;
}

}  // namespace

std::string features() {
  oci::FeatureFacts facts;
  facts.version = CLAWRUN_VERSION;
  if (const scmp_version* version = ::seccomp_version())
    facts.libseccomp_version =
        std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->micro);
  for (unsigned cap = 0; cap < 64 && ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) facts.capabilities |= 1ULL << cap;
  facts.seccomp_kernel_flags = kernel_filter_flags();
  facts.seccomp = facts.seccomp_kernel_flags != 0;
  facts.cgroup_v1 = facts.cgroup_v2 = facts.cgroup_systemd = facts.cgroup_systemd_user = facts.cgroup_rdma = true;
  facts.apparmor = facts.selinux = true;
  facts.memory_policy = true;
  facts.idmap_mounts = true;
  facts.net_devices = true;
  facts.intel_rdt = facts.intel_rdt_schemata = facts.intel_rdt_monitoring = true;
  facts.checkpoint = true;
  return oci::features_json(facts);
}

}  // namespace clawrun::engine
