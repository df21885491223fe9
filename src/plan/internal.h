// The parts of compile(), each deciding one thing.
#pragma once

#include "plan/compile.h"

namespace clawrun::plan {

// Whether /etc/resolv.conf of the root is covered: by the host's, or by one that names the gateway.
bool has_resolver(const spec::SandboxSpec& spec);

// A protection that cannot be given: an error, or with allow_degraded a line of the plan.
Result<> degrade(Plan& plan, const spec::SandboxSpec& spec, const std::string& lost, const std::string& remedy);

Result<> compile_identity(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
void compile_mounts(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
Result<> compile_landlock(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
Result<> compile_cgroup(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
Result<> compile_limits(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
Result<> compile_network(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs);
void compile_command(Plan& plan, const spec::SandboxSpec& spec);

}  // namespace clawrun::plan
