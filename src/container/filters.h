// The seccomp filter of a container: loading it, and what it leaves to a process of ours.
#pragma once

#include "base/result.h"
#include "container/launch.h"

namespace clawrun::container {

// Returns the listener of the last program, or -1.
Result<int> load_filters(const Filters& filters);

// Whether a process can load them, clone the one that goes on, and that one end its part in the start: `exec` (join.cc). A call
// that an agent is asked about is none that they let through: the agent may answer when it has heard of that process.
bool let_join(const Filters& filters, int sync);

}  // namespace clawrun::container
