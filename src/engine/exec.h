// `exec`: from a specification to an outcome, and the plan in between.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/outcome.h"
#include "spec/spec.h"
#include "spec/validate.h"

namespace clawrun::engine {

// Resolves, validates and compiles: all that is decided before anything runs. Reads files and the host's facts; starts
// nothing. Several problems of the specification are one error of several lines. Thread-safe.
Result<plan::Plan> prepare(spec::SandboxSpec spec);

// What is wrong with it that no host could mend, all at once. Reads nothing but the files that it names.
std::vector<spec::Problem> problems_of(spec::SandboxSpec spec);

struct ExecOptions {
  bool forward_signals = false;                 // for a program that is nothing but the supervisor of this sandbox
  bool read_usage = true;                       // Outcome::usage
  std::function<void(const std::string&)> say;  // SpawnOptions::say
};

// Starts the plan and waits for its end. An error is a failure before the command could run; nothing is left then.
// Thread-safe: each call is a sandbox of its own.
Result<spec::Outcome> exec(const plan::Plan& plan, const ExecOptions& options);

// The outcome that a report shows for a failure before the command could run.
spec::Outcome failed_outcome(const Error& error, const plan::Plan* plan = nullptr);

// A profile by name, searched for in $XDG_CONFIG_HOME/clawrun/profiles, /etc/clawrun/profiles and the installed ones, or a
// file, applied to `spec`. An unknown name is an error that names the nearest.
Result<> apply_profile(spec::SandboxSpec& spec, const std::string& name_or_file);

}  // namespace clawrun::engine
