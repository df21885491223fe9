#include "engine/exec.h"

#include <optional>

#include "engine/live_sandbox.h"
#include "engine/registration.h"
#include "engine/resolve.h"
#include "plan/compile.h"
#include "supervise/signals.h"
#include "tables/exit_codes.h"

namespace clawrun::engine {

Result<plan::Plan> prepare(spec::SandboxSpec spec) {
  TRY(resolve_words(spec));
  auto valid = spec::validate(std::move(spec));
  if (!valid) {
    std::string lines;
    for (const spec::Problem& problem : valid.error())
      lines +=
          (lines.empty() ? "" : "\n") + (problem.setting == "command" ? "" : "--" + problem.setting + ": ") + problem.message;
    return fail(ErrorKind::kInvalid, std::move(lines));
  }
  const plan::Inputs inputs = TRY(gather_inputs(*valid));
  return plan::compile(*valid, inputs);
}

std::vector<spec::Problem> problems_of(spec::SandboxSpec spec) {
  std::vector<spec::Problem> problems;
  // Words that cannot be looked up are one problem more.
  if (auto resolved = resolve_words(spec); !resolved) problems.push_back({"", resolved.error().message});
  if (auto valid = spec::validate(std::move(spec)); !valid)
    for (spec::Problem& problem : valid.error()) problems.push_back(std::move(problem));
  return problems;
}

Result<spec::Outcome> exec(const plan::Plan& plan, const ExecOptions& options) {
  std::optional<supervise::ForwardedSignals> signals;
  if (options.forward_signals) {
    auto opened = supervise::ForwardedSignals::open();
    if (!opened) return std::unexpected(std::move(opened).error());
    signals.emplace(std::move(*opened));
  }
  LiveSandbox sandbox = TRY(LiveSandbox::spawn(
      plan, {.signals = signals ? &*signals : nullptr, .read_usage = options.read_usage, .streams = {}, .say = options.say}));
  TRY(sandbox.wait(LiveSandbox::kForever));
  return sandbox.outcome();
}

spec::Outcome failed_outcome(const Error& error, const plan::Plan* plan) {
  spec::Outcome outcome;
  outcome.status = spec::Status::kSetupFailed;
  outcome.exit_code = tables::exec_exit_code(error.kind);
  outcome.reason = error.message;
  outcome.id = plan != nullptr && !plan->name.empty() ? plan->name : new_id();
  outcome.started_at = std::chrono::system_clock::now();
  return outcome;
}

}  // namespace clawrun::engine
