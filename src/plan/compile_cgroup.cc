#include <algorithm>

#include "base/text.h"
#include "cgroup/devices.h"
#include "cgroup/writes.h"
#include "plan/internal.h"

namespace clawrun::plan {

namespace {

using cgroup::kUnlimited;

// What nobody asked for, so that a host stays alive.
cgroup::Limits with_defaults(const spec::SandboxSpec& spec, const Inputs& inputs) {
  cgroup::Limits limits = spec.limits;
  const std::uint64_t half = inputs.available_memory_bytes / 2;
  if (!limits.memory_bytes) limits.memory_bytes = std::min(spec::kDefaultMemoryBytes, half == 0 ? kUnlimited : half);
  if (!limits.pids) limits.pids = spec::kDefaultPids;
  // A limit that can be passed by swapping would only be felt by everybody else.
  if (!limits.memory_swap_bytes && *limits.memory_bytes != kUnlimited) limits.memory_swap_bytes = 0;
  return limits;
}

bool contains(const std::vector<std::string_view>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

// A sandbox in its own user namespace can make no node, and its mounts offer only those that it was given. So the policy is a
// second wall around what --device opens, where the caller is one who may build it.
bool limits_devices(const spec::SandboxSpec& spec, const host::HostFacts& facts) {
  return facts.privileged && !spec.devices.empty();
}

std::vector<cgroup::DeviceRule> device_rules(const spec::SandboxSpec& spec, const Inputs& inputs) {
  std::vector<cgroup::DeviceRule> rules = cgroup::default_device_rules();
  for (std::size_t i = 0; i < spec.devices.size(); ++i) {
    const DeviceFacts& facts = inputs.devices[i];
    rules.push_back({.allow = true,
                     .type = facts.is_block ? 'b' : 'c',
                     .major = facts.major,
                     .minor = facts.minor,
                     .read = spec.devices[i].read,
                     .write = spec.devices[i].write,
                     .mknod = spec.devices[i].mknod});
  }
  return rules;
}

// The controllers that can be had; what was asked for and cannot is an error, a default that cannot is a note.
Result<std::vector<std::string>> usable_controllers(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  const std::vector<std::string_view> asked = cgroup::needed_controllers(spec.limits);
  for (const auto& [controller, reason] : inputs.cgroup_place.missing) {
    if (contains(asked, controller) || controller == "devices") {
      const std::string lost = "the " + controller + " limit cannot be given: " + reason;
      TRY(degrade(plan, spec, lost, "leave it out"));
    } else {
      plan.notes.push_back("the default " + controller + " limit is not in force: " + reason);
    }
  }
  const cgroup::Place& place = inputs.cgroup_place;
  std::vector<std::string> usable = place.v2.controllers;
  for (const cgroup::Place::Base& base : place.v1) usable.insert(usable.end(), base.controllers.begin(), base.controllers.end());
  return usable;
}

}  // namespace

std::vector<std::string_view> wanted_controllers(const spec::SandboxSpec& spec, const host::HostFacts& facts) {
  std::vector<std::string_view> wanted = cgroup::needed_controllers(spec.limits);
  if (!spec.limits.memory_bytes && !contains(wanted, "memory")) wanted.push_back("memory");
  if (!spec.limits.pids && !contains(wanted, "pids")) wanted.push_back("pids");
  if (!wanted.empty() && spec.report_usage) wanted.push_back("cpuacct");
  if (limits_devices(spec, facts)) wanted.push_back("devices");
  return wanted;
}

Result<> compile_cgroup(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  if (spec.core_scheduling && !inputs.core_scheduling_refusal.empty()) {
    TRY(degrade(plan, spec, "--core-sched: " + inputs.core_scheduling_refusal, "leave it out"));
    plan.core_scheduling = false;
  }
  const std::vector<std::string> usable = TRY(usable_controllers(plan, spec, inputs));
  if (!inputs.cgroup_place.usable()) return {};
  cgroup::Limits limits = with_defaults(spec, inputs);
  // systemd has defaults of its own, which "none" lifts too.
  if (inputs.cgroup_place.driver != cgroup::Driver::kSystemd) limits = cgroup::only(limits, usable);
  for (const cgroup::Place::Base& base : inputs.cgroup_place.v1)
    if (auto writes = cgroup::writes_v1(cgroup::only(limits, base.controllers)); !writes) return Failure(writes.error());
  if (limits_devices(spec, inputs.host)) limits.devices = device_rules(spec, inputs);
  plan.cgroup = Cgroup{inputs.cgroup_place, std::move(limits)};
  return {};
}

}  // namespace clawrun::plan
