#include "engine/exec.h"

#include <sys/random.h>
#include <unistd.h>

#include <optional>

#include "base/text.h"
#include "engine/resolve.h"
#include "launch/launch.h"
#include "plan/compile.h"
#include "spec/validate.h"
#include "state/state.h"
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

// How many records of others a start looks at for sandboxes whose supervisor died.
constexpr std::size_t kSweptAtOnce = 16;

// This sandbox's entry among those that run. Without one it could be neither found nor swept: an error where it has a cgroup or
// was given a name, and no matter where it has neither.
class Registration {
 public:
  // Before the sandbox is started, where the record has to be first: whatever ends us then leaves word of the cgroup, and a name
  // is taken at once. Otherwise the record is written while the command runs already.
  static Result<Registration> open(const plan::Plan& plan, const std::string& id,
                                   std::chrono::system_clock::time_point started_at) {
    Registration opened;
    state::Record& record = opened.record_;
    record.id = id;
    record.owner = ::geteuid();
    record.created_ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(started_at.time_since_epoch()).count());
    record.command = plan.argv;
    record.rootfs = plan.rootfs;
    if (plan.cgroup) record.location = cgroup::Group::locate(plan.cgroup->place, id);
    record.supervisor.pid = ::getpid();
    if (plan.cgroup || !plan.name.empty()) opened.entry_ = TRY(state::Entry::create(record));
    return opened;
  }

  // At worst `list` shows no pid, or not the sandbox: the record of before names the cgroup already.
  void note_started(const launch::Sandbox& sandbox) {
    if (auto self = state::identify(record_.supervisor.pid)) record_.supervisor = *self;
    if (auto first = state::identify(sandbox.pid)) record_.first = *first;
    if (!sandbox.group.empty()) record_.location = sandbox.group.location();
    if (entry_)
      (void)entry_->update(record_);
    else if (auto entry = state::Entry::create(record_))
      entry_ = std::move(*entry);
  }

  // For the next start, or `clawrun gc`.
  void leave() {
    if (entry_) entry_->leave();
  }

 private:
  state::Record record_;
  std::optional<state::Entry> entry_;
};

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
  const std::string id = plan.name.empty() ? new_id() : plan.name;
  // Before the cgroup is made, so that whatever ends us leaves word of it.
  Registration registration = TRY(Registration::open(plan, id, started_at));
  launch::Sandbox sandbox = TRY(launch::start(plan, id));
  // The command runs meanwhile, on another processor where there is one.
  registration.note_started(sandbox);
  state::sweep(kSweptAtOnce);
  spec::Outcome outcome = supervise::supervise(
      sandbox,
      {.timeout = plan.timeout, .grace = plan.grace, .signals = signals ? &*signals : nullptr, .read_usage = options.read_usage});
  outcome.started_at = started_at;
  outcome.id = id;
  if (!sandbox.group.end()) registration.leave();
  return outcome;
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
