// A running sandbox and what it has used, as JSON.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cgroup/usage.h"
#include "state/state.h"

namespace clawrun::report {

// One object in one line, without a newline. What nobody counts is null; so is a limit that is lifted.
std::string to_json(const state::Record& record, const std::optional<cgroup::Usage>& usage,
                    std::chrono::system_clock::time_point sampled_at);

}  // namespace clawrun::report
