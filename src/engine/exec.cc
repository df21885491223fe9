#include "engine/exec.h"

#include <sys/random.h>

#include "base/text.h"
#include "engine/resolve.h"
#include "launch/launch.h"
#include "plan/compile.h"
#include "spec/validate.h"
#include "supervise/supervise.h"
#include "tables/exit_codes.h"

namespace clawrun::engine {

namespace {

std::string new_id() {
  unsigned char bytes[6] = {};
  // Only an identifier; on the rare failure of getrandom(2) it is less unique, and nothing else.
  if (::getrandom(bytes, sizeof bytes, 0) < 0) bytes[0] = 1;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string id;
  for (const unsigned char byte : bytes) {
    id += kHex[byte >> 4U];
    id += kHex[byte & 15U];
  }
  return id;
}

}  // namespace

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

Result<spec::Outcome> exec(const plan::Plan& plan, const ExecOptions& options) {
  std::optional<supervise::ForwardedSignals> signals;
  if (options.forward_signals) {
    auto opened = supervise::ForwardedSignals::open();
    if (!opened) return std::unexpected(std::move(opened).error());
    signals.emplace(std::move(*opened));
  }
  const auto started_at = std::chrono::system_clock::now();
  launch::Sandbox sandbox = TRY(launch::start(plan));
  spec::Outcome outcome =
      supervise::supervise(sandbox, {.timeout = plan.timeout, .grace = plan.grace, .signals = signals ? &*signals : nullptr});
  outcome.started_at = started_at;
  outcome.id = new_id();
  return outcome;
}

spec::Outcome failed_outcome(const Error& error) {
  spec::Outcome outcome;
  outcome.status = spec::Status::kSetupFailed;
  outcome.exit_code = tables::exec_exit_code(error.kind);
  outcome.reason = error.message;
  outcome.id = new_id();
  outcome.started_at = std::chrono::system_clock::now();
  return outcome;
}

}  // namespace clawrun::engine
