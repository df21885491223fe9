// What both kinds of container processes, the first one and those of `exec`, do to themselves, and in which order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "container/confine.h"
#include "container/launch.h"
#include "container/namespaces.h"
#include "oci/config.h"

namespace clawrun::container {

// Everything back to what a program expects, whatever the caller of the runtime ignored or blocked.
void reset_signals();

// Nothing else of the runtime's, nor of its caller's, is there before the first step that the container's side controls
// (CVE-2024-21626). What is kept closes at the exec; 3 and the `preserved` from there on are the container's.
Result<> close_all_but(std::vector<int> keep, unsigned preserved);

// Ends where the runtime has ended, and with it who would read an error.
Result<> await_go(int sync);

Result<> join_cgroups(const std::vector<int>& files);

// prctl(2) PR_SET_PDEATHSIG: cleared by a clone and by a change of ids or capabilities. 0: the process outlives the runtime.
Result<> die_with_runtime(int signal);

Result<> new_keyring(const oci::Process& process, const Proc& proc);

// What may be done with supplementary groups in the user namespace of the caller.
Result<Groups> groups_of(const oci::Config& config, const Proc& proc);

class Confinement {
 public:
  struct Parts {
    const oci::Config& config;
    const oci::Process& process;
    const Namespaces& namespaces;
    const Filters& filters;
    Groups groups = Groups::kCannot;
    LimitsFor limits = LimitsFor::kExec;
    int sync = -1;
  };
  explicit Confinement(const Parts& parts) : parts_(parts), process_(parts.process) {}

  // Limits, Landlock, identity, capabilities, no_new_privs, and the filter where no_new_privs does not allow it later:
  // seccomp(2).
  Result<> run();

  // The working directory and the executable, as whoever the process is by now sees them.
  Result<> settle();

  // Last, where no_new_privs allows it so late; otherwise it is there already.
  Result<> load_late() { return process_.no_new_privileges ? load() : Result<>{}; }

  void add_environment(std::string variable) { environment_.push_back(std::move(variable)); }

  // Only on failure does it return.
  Error execute();

 private:
  Result<> take_limits();
  Result<> load();

  Parts parts_;
  const oci::Process& process_;
  bool entered_ = false;
  std::vector<std::string> environment_;
  std::string executable_;
};

}  // namespace clawrun::container
