#include "plan/compile.h"

#include <linux/sched.h>

#include <algorithm>

#include "base/text.h"
#include "plan/internal.h"
#include "seccomp/adjust.h"
#include "seccomp/builtin.h"

namespace clawrun::plan {

namespace {

// Everything that the child cannot do without, and since which Linux it exists.
Result<> require_kernel(const host::HostFacts& facts) {
  const struct {
    bool present;
    const char* what;
    const char* since;
  } needs[] = {{facts.has_mount_api, "the mount calls fsopen, open_tree and move_mount", "5.2"},
               {facts.has_mount_setattr, "mount_setattr", "5.12"},
               {facts.has_seccomp_filter, "seccomp filters", "3.5"}};
  for (const auto& need : needs) {
    if (need.present) continue;
    return fail(ErrorKind::kUnsupported,
                std::string("this system refuses ") + need.what + ", which clawrun cannot do without (Linux " + need.since +
                    " has it, unless a seccomp filter around clawrun hides it); clawrun doctor says more");
  }
  return {};
}

constexpr std::uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

bool writes_to_caller(const spec::SandboxSpec& spec) {
  const auto writable = [](const spec::Bind& bind) { return !bind.read_only; };
  return (spec.workspace && writable(*spec.workspace)) || std::ranges::any_of(spec.binds, writable);
}

void compile_seccomp(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  plan.seccomp_name = spec.seccomp;
  // Without init nobody but the kernel's parent-death signal ends the sandbox with its supervisor: the command must not be
  // able to turn it off.
  if (!spec.init) plan.filters.push_back(seccomp::keep_parent_death_signal());
  if (writes_to_caller(spec) && !wants_id_range(spec)) plan.filters.push_back(seccomp::refuse_set_id_files());
  if (!inputs.seccomp) return;
  seccomp::Compiled compiled = *inputs.seccomp;
  // Landlock tells the programs apart then (compile_landlock).
  if (!spec.allow_exec.empty()) seccomp::ignore_start_cookie(compiled);
  plan.has_start_cookie = compiled.has_start_cookie;
  plan.seccomp_flags = compiled.flags;
  plan.filters_allow_read = seccomp::find_builtin(spec.seccomp) != nullptr;
  for (std::vector<sock_filter>& filter : compiled.filters) plan.filters.push_back(std::move(filter));
}

void compile_streams(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (spec.tty)
      plan.streams[i] = Stream::kTerminal;
    else if (inputs.streams[i] == StreamFacts::kTerminal || (i != 0 && spec.max_output_bytes))
      plan.streams[i] = Stream::kPipe;
  }
}

}  // namespace

Result<> degrade(Plan& plan, const spec::SandboxSpec& spec, const std::string& lost, const std::string& remedy) {
  if (!spec.allow_degraded)
    return fail(ErrorKind::kUnsupported, lost + "; " + remedy + ", or go on without it with --allow-degraded");
  plan.degradations.push_back(lost);
  return {};
}

Result<Plan> compile(const spec::ValidSpec& valid, const Inputs& inputs) {
  const spec::SandboxSpec& spec = *valid;
  TRY(require_kernel(inputs.host));
  Plan plan;
  plan.clone_flags = kNamespaces;
  TRY(compile_network(plan, spec, inputs));
  plan.new_time_namespace = spec.time_namespace;
  plan.init = spec.init;
  plan.preserve_fds = spec.preserve_fds;
  plan.timeout = spec.timeout;
  plan.grace = spec.grace;
  plan.max_output_bytes = spec.max_output_bytes;
  plan.has_clone3 = inputs.host.has_clone3;
  plan.has_clone_into_cgroup = inputs.host.has_clone3 && inputs.host.kernel.at_least(5, 7);
  plan.has_openat2 = inputs.host.has_openat2;
  plan.has_close_range = inputs.host.has_close_range;
  plan.last_capability = inputs.last_capability;
  plan.keep_capabilities = spec.capabilities;
  plan.name = spec.name;
  plan.core_scheduling = spec.core_scheduling;
  plan.rootfs = inputs.root.name;
  plan.profiles = spec.profiles;
  if (inputs.last_capability < 63 && spec.capabilities >> (inputs.last_capability + 1) != 0)
    return fail(ErrorKind::kUnsupported, "--cap-add: this kernel does not know that capability");
  TRY(compile_identity(plan, spec, inputs));
  compile_streams(plan, spec, inputs);
  compile_mounts(plan, spec, inputs);
  TRY(compile_limits(plan, spec, inputs));
  TRY(compile_cgroup(plan, spec, inputs));
  TRY(compile_landlock(plan, spec, inputs));
  compile_seccomp(plan, spec, inputs);
  compile_command(plan, spec);
  if (plan.cgroup) TRY(check_words(plan.argv, plan.environment, plan.cgroup->limits.memory_bytes));
  return plan;
}

}  // namespace clawrun::plan
