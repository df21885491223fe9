// A starting sandbox's entry among those that run: state/state.h.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launch/launch.h"
#include "plan/plan.h"
#include "state/state.h"

namespace clawrun::engine {

// For a sandbox that was given no name.
std::string new_id();

// This sandbox's entry among those that run. Without one it could be neither found nor swept: an error where it has a cgroup or
// was given a name, and no matter where it has neither.
class Registration {
 public:
  // Before the sandbox is started, where the record has to be first: whatever ends us then leaves word of the cgroup, and a name
  // is taken at once. Otherwise the record is written while the command runs already.
  static Result<Registration> open(const plan::Plan& plan, const std::string& id,
                                   std::chrono::system_clock::time_point started_at);

  // At worst `list` shows no pid, or not the sandbox: the record of before names the cgroup already.
  void note_started(const launch::Sandbox& sandbox);

  // What was not known when it was started.
  void note_command(const std::vector<std::string>& command);

  // It has ended: the name is free. Nothing happens the second time.
  void remove();

  // What it names could not be ended. For the next start, or `clawrun gc`.
  void leave();

 private:
  state::Record record_;
  std::optional<state::Entry> entry_;
};

}  // namespace clawrun::engine
