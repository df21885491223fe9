#include "engine/warm_sandbox.h"

#include <linux/mount.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/text.h"
#include "cgroup/location.h"
#include "launch/ids.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

// How many records of others are looked at for sandboxes whose supervisor died.
constexpr std::size_t kSweptAtOnce = 16;

Result<> tighten(const cgroup::Group& group, const cgroup::Limits& limits) {
  if (group.empty())
    return fail(
        ErrorKind::kUnsupported,
        "the sandboxes of this pool have no cgroup, so a claim cannot make their limits tighter (clawrun doctor says what "
        "is missing here)");
  return cgroup::update(group.location(), limits);
}

// As long as it has not executed a parked child shares our memory, and the kernel, when it kills for want of memory, kills all
// that share the victim's. So its memory is limited when it has; its other limits before.
struct SplitLimits {
  std::optional<cgroup::Limits> before;
  std::optional<cgroup::Limits> after;
};

SplitLimits split(const cgroup::Limits& limits) {
  SplitLimits parts;
  if (limits.pids || limits.cpu_quota_us) {
    parts.before = limits;
    parts.before->memory_bytes.reset();
  }
  if (limits.memory_bytes) {
    parts.after.emplace();
    parts.after->memory_bytes = limits.memory_bytes;
  }
  return parts;
}

}  // namespace

Result<WarmSandbox> WarmSandbox::registered(const std::shared_ptr<const plan::Plan>& plan) {
  WarmSandbox made;
  made.plan_ = plan;
  made.id_ = new_id();
  made.registration_ = TRY(Registration::open(*plan, made.id_, std::chrono::system_clock::now()));
  return made;
}

Result<WarmSandbox> WarmSandbox::park(const std::shared_ptr<const plan::Plan>& plan, child::Park where) {
  WarmSandbox made = TRY(registered(plan));
  made.parked_ = TRY(launch::Parked::make(plan, made.id_, where));
  made.registration_.note_started(made.sandbox());
  state::sweep(kSweptAtOnce);
  return made;
}

Result<WarmSandbox> WarmSandbox::prime(const std::shared_ptr<const plan::Plan>& plan, const int (&given)[2]) {
  WarmSandbox made = TRY(registered(plan));
  constexpr launch::Stream kPipe{launch::Stream::Kind::kPipe, -1};
  const launch::StartOptions options{.streams = {kPipe, kPipe, kPipe},
                                     .wants_files = true,
                                     .outlives_thread = true,
                                     .late_deadline = true,
                                     .given = {given[0], given[1]}};
  made.primed_ = TRY(launch::start(*plan, made.id_, options));
  made.registration_.note_started(made.primed_);
  state::sweep(kSweptAtOnce);
  return made;
}

void WarmSandbox::kill_soon() {
  const launch::Sandbox& ending = sandbox();
  if (ending.pid > 0) sys::send_signal(ending.pidfd.get(), ending.pid, SIGKILL);
}

// Opened by the caller's rights, owned inside by the sandbox's user, as --workspace is.
Result<UniqueFd> WarmSandbox::open_workspace(const Workspace& workspace) const {
  UniqueFd mount = TRY(sys::open_tree_clone(workspace.bind.source, true));
  const std::uint64_t read_only = workspace.bind.read_only ? MOUNT_ATTR_RDONLY : 0;
  TRY(sys::set_mount_attributes(mount.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | read_only));
  const UniqueFd owner = TRY(parked_->ownership_namespace(workspace.owner));
  TRY(sys::set_idmap(mount.get(), owner.get(), true));
  return mount;
}

Result<launch::Sandbox> WarmSandbox::wake_parked(WarmClaim& claim, const Streams& streams) {
  launch::Claim woken;
  woken.argv = std::move(claim.argv);
  woken.candidates = std::move(claim.candidates);
  woken.environment = std::move(claim.environment);
  woken.timeout = claim.timeout;
  woken.grace = claim.grace;
  std::ranges::copy(streams.starts, woken.streams);
  if (claim.workspace) {
    auto mount = open_workspace(*claim.workspace);
    if (!mount) return while_doing("workspace: " + quoted(claim.workspace->bind.source), mount.error());
    woken.workspace = std::move(*mount);
  }
  const SplitLimits limits = split(claim.limits);
  if (limits.before) TRY(tighten(sandbox().group, *limits.before));
  const std::vector<std::string> command = woken.argv;
  TRY(parked_->wake(std::move(woken)));
  // It executes meanwhile, on another processor where there is one.
  registration_.note_command(command);
  launch::Sandbox running = TRY(parked_->executed());
  if (limits.after) TRY(tighten(running.group, *limits.after));
  return running;
}

Result<launch::Sandbox> WarmSandbox::wake_primed(const WarmClaim& claim) {
  const SplitLimits limits = split(claim.limits);
  if (limits.before) TRY(tighten(primed_.group, *limits.before));
  if (limits.after) TRY(tighten(primed_.group, *limits.after));
  if (claim.timeout.count() > 0) sys::set_timer(primed_.deadline.get(), claim.timeout + claim.grace + launch::kDeadlineSlack);
  primed_.started_ns = sys::monotonic_ns();
  primed_.stages_us.clear();
  TRY(sys::write_all(primed_.stream[0].get(), "\n"));
  if (claim.streams[0].kind == StreamChoice::Kind::kNull) primed_.stream[0].reset();
  return std::move(primed_);
}

Result<LiveSandbox> WarmSandbox::claim(WarmClaim claim) {
  const auto started_at = std::chrono::system_clock::now();
  const std::uint64_t limit_bytes = claim.max_output_bytes.value_or(UINT64_MAX);
  Streams streams = TRY(choose_streams(claim.streams, limit_bytes));
  if (parked_) TRY(settle_inherited(streams, claim.streams, limit_bytes));
  for (const spec::File& file : claim.files) TRY(sandbox().files.put(file.path, file.data, file.mode));
  launch::Sandbox running = TRY(parked_ ? wake_parked(claim, streams) : wake_primed(claim));
  parked_.reset();
  supervise::Options supervised;
  supervised.timeout = claim.timeout;
  supervised.grace = claim.grace;
  return LiveSandbox::take_over({.id = id_,
                                 .registration = std::move(registration_),
                                 .sandbox = std::move(running),
                                 .streams = std::move(streams),
                                 .supervised = std::move(supervised),
                                 .started_at = started_at});
}

}  // namespace clawrun::engine
