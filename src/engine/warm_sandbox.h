// A sandbox that was made before it is known what for, and waits to be claimed: what a pool keeps.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"
#include "engine/live_sandbox.h"
#include "launch/parked.h"
#include "plan/plan.h"
#include "spec/spec.h"

namespace clawrun::engine {

// A directory of the caller that a claim brings.
struct Workspace {
  spec::Bind bind;
  plan::Ownership owner;
};

struct WarmClaim {
  std::vector<std::string> argv;  // parked only, with the next two; candidates as in plan::Plan
  std::vector<std::string> candidates;
  std::vector<std::string> environment;
  std::optional<Workspace> workspace;
  StreamChoice streams[3];
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds grace{0};
  std::optional<std::uint64_t> max_output_bytes;
  cgroup::Limits limits;  // what is set in it is tighter than before
  std::span<const spec::File> files;
};

// Dropped, it is killed and reaped, and nothing of it is left. One thread at a time.
class WarmSandbox {
 public:
  // Everything is built; what it executes comes with the claim.
  static Result<WarmSandbox> park(const std::shared_ptr<const plan::Plan>& plan, child::Park where);

  // The plan's command runs, with pipes as its standard streams and `given` as its descriptors 3 and 4, and waits for a line on
  // standard input.
  static Result<WarmSandbox> prime(const std::shared_ptr<const plan::Plan>& plan, const int (&given)[2]);

  [[nodiscard]] int pidfd() const { return sandbox().pidfd.get(); }

  // Our end of a standard stream of a primed one.
  [[nodiscard]] int stream(int stream) const { return sandbox().stream[stream].get(); }

  // Begins its end; the drop waits for it. For many at once.
  void kill_soon();

  // Lets it go on. Whatever fails, nothing of it is left when it is dropped then.
  Result<LiveSandbox> claim(WarmClaim claim);

 private:
  WarmSandbox() = default;
  static Result<WarmSandbox> registered(const std::shared_ptr<const plan::Plan>& plan);
  [[nodiscard]] const launch::Sandbox& sandbox() const { return parked_ ? parked_->sandbox() : primed_; }
  Result<launch::Sandbox> wake_parked(WarmClaim& claim, const Streams& streams);
  Result<launch::Sandbox> wake_primed(const WarmClaim& claim);
  Result<UniqueFd> open_workspace(const Workspace& workspace) const;

  std::shared_ptr<const plan::Plan> plan_;
  std::string id_;
  Registration registration_;  // dropped after what it names
  std::optional<launch::Parked> parked_;
  launch::Sandbox primed_;
};

}  // namespace clawrun::engine
