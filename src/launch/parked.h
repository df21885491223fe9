// A sandbox that is ready, and waits for what it is to execute.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "launch/launch.h"
#include "plan/plan.h"

namespace clawrun::launch {

// What a parked sandbox is woken with.
struct Claim {
  std::vector<std::string> argv;
  std::vector<std::string> candidates;  // as in plan::Plan
  std::vector<std::string> environment;
  Stream streams[3];
  UniqueFd workspace;                    // a detached mount for spec::kWorkspace; only with child::Park::kMounted
  std::chrono::milliseconds timeout{0};  // for the exec; and of the command, which init is told
  std::chrono::milliseconds grace{0};
};

// Its process shares our memory until it executes: the plan and the claim stay where they are for so long. Dropped, it is killed
// and reaped first.
class Parked {
 public:
  // As start(), but returns when the sandbox waits. The plan's command is not looked at.
  static Result<Parked> make(std::shared_ptr<const plan::Plan> plan, const std::string& id, child::Park where);

  Parked(Parked&& other) noexcept;
  Parked& operator=(Parked&& other) noexcept;
  ~Parked();

  [[nodiscard]] Sandbox& sandbox() const;

  // What an id-mapped mount of this owner's files must be mapped with: mount_setattr(2) MOUNT_ATTR_IDMAP.
  [[nodiscard]] Result<UniqueFd> ownership_namespace(const plan::Ownership& owner) const;

  // Lets it go on. Works once.
  Result<> wake(Claim claim);
  // After wake(): returns when the command has been executed. On failure nothing is left.
  Result<Sandbox> executed();

 private:
  struct State;
  explicit Parked(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace clawrun::launch
