#include "pool/claim.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "plan/compile.h"
#include "spec/settings.h"

namespace clawrun::pool {

namespace {

constexpr std::string_view kChangeable[] = {"timeout", "grace", "max-output", "memory", "pids", "cpus", "workspace"};
constexpr const char* kColdStart = "; a cold start (clawrun_spawn) can do it";
constexpr std::size_t kMostFileBytes = 64U << 20U;

Failure refused(std::string_view name, const std::string& why) {
  return fail(ErrorKind::kInvalid, std::string(name) + ": " + why + kColdStart);
}

// nullopt: no limit.
using Bound = std::optional<std::uint64_t>;

Bound bound(const Bound& limit) {
  return limit && *limit == cgroup::kUnlimited ? std::nullopt : limit;
}

// A claim's limit in place of the pool's.
Result<> tighten(std::string_view name, const Bound& ours, const Bound& claimed) {
  if (!ours || (claimed && *claimed <= *ours)) return {};
  return refused(name, "a claim can only make the pool's limit of " + std::to_string(*ours) + " smaller");
}

// Of each quota as millionths of a processor.
Bound processors(const cgroup::Limits& limits) {
  if (!bound(limits.cpu_quota_us)) return std::nullopt;
  return *limits.cpu_quota_us * 1'000'000U / std::max<std::uint64_t>(limits.cpu_period_us, 1);
}

Bound milliseconds(std::chrono::milliseconds time) {
  return time.count() > 0 ? Bound(static_cast<std::uint64_t>(time.count())) : std::nullopt;
}

class Fitting {
 public:
  Fitting(const Common& common, const Claim& claim) : common_(common), claim_(claim), plan_(*common.plan) {}

  Result<> limits() {
    const spec::SandboxSpec& wanted = claim_.settings;
    const cgroup::Limits none;
    const cgroup::Limits& ours = plan_.cgroup ? plan_.cgroup->limits : none;
    if (has("timeout")) TRY(tighten("timeout (ms)", milliseconds(plan_.timeout), milliseconds(wanted.timeout)));
    if (has("grace") && wanted.grace > plan_.grace)
      return refused("grace", "a claim can only make the pool's " + std::to_string(plan_.grace.count()) + " ms shorter");
    if (has("max-output")) TRY(tighten("max-output", plan_.max_output_bytes, wanted.max_output_bytes));
    if (has("memory")) TRY(tighten("memory", bound(ours.memory_bytes), bound(wanted.limits.memory_bytes)));
    if (has("pids")) TRY(tighten("pids", bound(ours.pids), bound(wanted.limits.pids)));
    if (has("cpus")) TRY(tighten("cpus (millionths)", processors(ours), processors(wanted.limits)));
    return {};
  }

  Result<> workspace(engine::WarmClaim& warm) const {
    if (!has("workspace")) return {};
    if (common_.workspace == Switch::kOff)
      return refused("workspace", "only the claims of a parked pool with the option workspace=on can bring one");
    if (::geteuid() != 0) return refused("workspace", "mounting it into a sandbox that is there already needs root");
    if (!claim_.files.empty())
      return fail(ErrorKind::kInvalid, "files: the work directory is the caller's own (workspace), which the caller writes to");
    spec::Bind bind = *claim_.settings.workspace;
    struct stat info {};
    if (::stat(bind.source.c_str(), &info) != 0) return fail_errno("workspace: " + quoted(bind.source));
    if (!S_ISDIR(info.st_mode)) return fail(ErrorKind::kInvalid, "workspace: " + quoted(bind.source) + " is not a directory");
    warm.workspace = {std::move(bind), plan::Ownership{info.st_uid, info.st_gid}};
    return {};
  }

  // Of the parked: what is executed, in the environment of the specification with the claim's over it.
  Result<> command(engine::WarmClaim& warm) const {
    if (claim_.code) return fail(ErrorKind::kInvalid, "code: a parked sandbox executes a command; a primed pool takes code");
    if (claim_.command.empty() && !common_.has_command)
      return fail(ErrorKind::kInvalid, "command: neither the claim nor the specification of the pool has one");
    warm.argv = claim_.command.empty() ? plan_.argv : claim_.command;
    if (warm.argv[0].empty()) return fail(ErrorKind::kInvalid, "command: its name is empty");
    warm.environment = plan_.environment;
    for (const std::string& variable : claim_.variables) {
      const std::string prefix = variable.substr(0, variable.find('=') + 1);
      const auto same = std::ranges::find_if(warm.environment, [&](const std::string& one) { return one.starts_with(prefix); });
      if (same == warm.environment.end())
        warm.environment.push_back(variable);
      else
        *same = variable;
    }
    warm.candidates = plan::candidates_for(warm.argv[0], warm.environment);
    return plan::check_words(warm.argv, warm.environment, plan_.cgroup ? plan_.cgroup->limits.memory_bytes : std::nullopt);
  }

  Result<std::string> code() const {
    if (!claim_.command.empty())
      return fail(ErrorKind::kInvalid, "command: a primed sandbox runs its interpreter; a parked pool takes commands");
    if (!claim_.code) return fail(ErrorKind::kInvalid, "code: the claim of a primed sandbox brings none");
    return common_.driver->compose(claim_.variables, *claim_.code);
  }

  void settle(Fitted& fitted) const {
    engine::WarmClaim& warm = fitted.warm;
    const spec::SandboxSpec& wanted = claim_.settings;
    warm.timeout = has("timeout") ? wanted.timeout : plan_.timeout;
    warm.grace = has("grace") ? wanted.grace : plan_.grace;
    warm.max_output_bytes = has("max-output") ? wanted.max_output_bytes : plan_.max_output_bytes;
    if (has("memory")) warm.limits.memory_bytes = bound(wanted.limits.memory_bytes);
    if (has("pids")) warm.limits.pids = bound(wanted.limits.pids);
    if (has("cpus")) warm.limits.cpu_quota_us = bound(wanted.limits.cpu_quota_us);
    if (has("cpus")) warm.limits.cpu_period_us = wanted.limits.cpu_period_us;
    warm.files = claim_.files;
    fitted.plan = common_.plan;
    if (claim_.names.empty()) return;
    auto changed = std::make_shared<plan::Plan>(plan_);
    changed->timeout = warm.timeout;
    changed->grace = warm.grace;
    changed->max_output_bytes = warm.max_output_bytes;
    if (changed->cgroup) {
      cgroup::Limits& limits = changed->cgroup->limits;
      if (warm.limits.memory_bytes) limits.memory_bytes = warm.limits.memory_bytes;
      if (warm.limits.pids) limits.pids = warm.limits.pids;
      if (warm.limits.cpu_quota_us) limits.cpu_quota_us = warm.limits.cpu_quota_us;
      if (warm.limits.cpu_quota_us) limits.cpu_period_us = warm.limits.cpu_period_us;
    }
    fitted.plan = std::move(changed);
  }

 private:
  [[nodiscard]] bool has(std::string_view name) const { return std::ranges::find(claim_.names, name) != claim_.names.end(); }

  const Common& common_;
  const Claim& claim_;
  const plan::Plan& plan_;
};

// The pipes were made when the sandbox was.
Result<> check_primed_streams(const engine::StreamChoice (&streams)[3]) {
  using Kind = engine::StreamChoice::Kind;
  if (streams[0].kind != Kind::kPipe && streams[0].kind != Kind::kNull)
    return fail(ErrorKind::kInvalid, "standard input of a primed sandbox is a pipe, or nothing: CLAWRUN_PIPE or CLAWRUN_NULL");
  for (int stream = 1; stream < 3; ++stream)
    if (streams[stream].kind != Kind::kPipe && streams[stream].kind != Kind::kCapture)
      return fail(ErrorKind::kInvalid,
                  "standard output and error of a primed sandbox are pipes already: CLAWRUN_PIPE or CLAWRUN_CAPTURE");
  return {};
}

}  // namespace

Result<> Claim::add_variable(std::string_view variable) {
  const std::size_t equals = variable.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    return fail(ErrorKind::kInvalid, "env: " + quoted(variable) + " is not NAME=VALUE");
  variables.emplace_back(variable);
  return {};
}

Result<> Claim::set(std::string_view name, std::string_view value) {
  if (spec::find_setting(name) == nullptr) return spec::apply_setting(settings, name, value);
  if (std::ranges::find(kChangeable, name) == std::end(kChangeable))
    return refused(name,
                   "a claim comes too late to change it: it can change timeout, grace, max-output, memory, pids, cpus and, "
                   "with the option workspace=on, workspace");
  spec::SandboxSpec changed = settings;
  if (auto applied = spec::apply_setting(changed, name, value); !applied) return while_doing(name, std::move(applied).error());
  settings = std::move(changed);
  names.emplace_back(name);
  return {};
}

Result<Fitted> fit(const Common& common, const Claim& claim, const engine::StreamChoice (&streams)[3]) {
  Fitting fitting(common, claim);
  Fitted fitted;
  std::size_t bytes = 0;
  for (const spec::File& file : claim.files) bytes += file.data.size();
  if (bytes > kMostFileBytes) return fail(ErrorKind::kInvalid, "files: more than " + format_size(kMostFileBytes) + " in all");
  std::ranges::copy(streams, fitted.warm.streams);
  TRY(fitting.limits());
  TRY(fitting.workspace(fitted.warm));
  if (common.driver != nullptr) {
    TRY(check_primed_streams(streams));
    fitted.code = TRY(fitting.code());
  } else {
    TRY(fitting.command(fitted.warm));
  }
  fitting.settle(fitted);
  return fitted;
}

}  // namespace clawrun::pool
