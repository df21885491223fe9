#include "pool/common.h"

#include <asm/unistd.h>
#include <linux/audit.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "engine/exec.h"
#include "plan/compile.h"
#include "seccomp/adjust.h"
#include "seccomp/interpret.h"

namespace clawrun::pool {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

// What src/child does between the claim and the exec.
constexpr int kCallsOfClaim[] = {__NR_read,       __NR_write,     __NR_close,  __NR_recvmsg,
                                 __NR_newfstatat, __NR_faccessat, __NR_execve, __NR_exit_group};

// Each sandbox holds its control and report sockets, its pidfd, deadline, work directory, cgroup, block of ids, and its record
// with the directory of that; a primed one its streams and its code besides.
constexpr std::uint64_t kParkedDescriptors = 9;
constexpr std::uint64_t kPrimedDescriptors = 13;
constexpr std::uint64_t kSpareDescriptors = 64;

Result<> refuse(const spec::SandboxSpec& spec) {
  const struct {
    bool given;
    const char* setting;
    const char* why;
  } rows[] = {
      {!spec.init, "no-init", "the command would end with the thread that made the sandbox"},
      {spec.tty, "tty", "the terminal belongs to who claims"},
      {!spec.preserve_fds.empty(), "preserve-fd", "what the number stands for may have changed when a sandbox is made"},
      {!spec.name.empty(), "name", "only one sandbox can have it"},
      {spec.network == spec::Network::kAllow, "network allow", "a gateway serves one command"},
  };
  for (const auto& row : rows)
    if (row.given)
      return fail(ErrorKind::kInvalid,
                  std::string(row.setting) + ": not in a pool, because " + row.why + "; a cold start (clawrun_spawn) can do it");
  return {};
}

// Without it the command may be anything: it comes with the claim.
constexpr const char* kNoCommand = "(parked)";

}  // namespace

Result<Common> prepare(spec::SandboxSpec spec, const Options& options) {
  TRY(check(options));
  TRY(refuse(spec));
  Common common;
  common.workspace = options.workspace;
  common.has_command = !spec.command.empty();
  if (options.grade == Grade::kPrimed) {
    common.driver = TRY(find_driver(options.interpreter));
    spec.command = common.driver->command(options.interpreter, options.prime);
  } else if (!common.has_command) {
    spec.command = {kNoCommand};
  }
  if (options.workspace == Switch::kOn && spec.workspace)
    return fail(ErrorKind::kInvalid, "workspace: the specification has one already, so a claim cannot bring another");
  const bool one_id = !plan::wants_id_range(spec);
  plan::Plan plan = TRY(engine::prepare(std::move(spec)));
  // Streams come with the claim, so that no rule can be about the files behind them.
  std::ranges::fill(plan.streams, plan::Stream::kInherit);
  std::erase_if(plan.landlock.rules, [](const plan::LandlockRule& rule) { return rule.path.empty(); });
  if (options.workspace == Switch::kOn && one_id) plan.filters.insert(plan.filters.begin(), seccomp::refuse_set_id_files());
  common.plan = std::make_shared<const plan::Plan>(std::move(plan));
  return common;
}

child::Park where_to_park(const Common& common) {
  const plan::Plan& plan = *common.plan;
  // Landlock names the command itself, or looks at the tree that the workspace changes.
  if (common.workspace == Switch::kOn || plan.landlock.command_access != 0) return child::Park::kMounted;
  if (plan.filters.empty()) return child::Park::kConfined;
  if (!plan.filters_allow_read) return child::Park::kMounted;
  seccomp::Compiled filters;
  filters.filters = plan.filters;
  for (const int call : kCallsOfClaim) {
    // One that is opened by the cookie alone is opened by that.
    if (call == __NR_execve && plan.has_start_cookie) continue;
    seccomp_data data{};
    data.nr = call;
    data.arch = kArch;
    const auto answer = seccomp::decide(filters, data);
    if (!answer || *answer != SECCOMP_RET_ALLOW) return child::Park::kMounted;
  }
  return child::Park::kConfined;
}

Result<> check_descriptors(const Common& common, std::uint64_t size) {
  const std::uint64_t each = common.driver == nullptr ? kParkedDescriptors : kPrimedDescriptors;
  const std::uint64_t needed = size * each + kSpareDescriptors;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return {};
  return fail(ErrorKind::kUnsupported, "size: " + std::to_string(size) + " sandboxes need " + std::to_string(needed) +
                                           " descriptors, and this process may have " + std::to_string(limit.rlim_cur) +
                                           ": raise RLIMIT_NOFILE (ulimit -n)");
}

}  // namespace clawrun::pool
