// What a sandbox leaves when its supervisor is killed: processes and a cgroup.
#pragma once

#include "base/result.h"
#include "state/state.h"

namespace clawrun::state {

// Kills and removes them; what is gone already is success. The supervisor must be dead.
Result<> end_leftovers(const Record& record);

}  // namespace clawrun::state
