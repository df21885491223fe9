// Reaching a container's first process by its pid and start time, and no other.
#pragma once

#include <chrono>

#include "base/result.h"
#include "base/unique_fd.h"
#include "state/state.h"

namespace clawrun::state {

// A pidfd of this very process: opened first, and its start time compared afterwards, when the number can no longer become
// another's unnoticed. kNotFound: it has ended, a zombie too.
Result<UniqueFd> open_process(const Process& process);

// kNotFound: it has ended. Where there are no pidfds (Linux before 5.3, a seccomp filter) by kill(2).
Result<> signal_process(const Process& process, int signal);

// False: it has not ended in this time. A zombie has ended: who waits for it is another's business.
bool wait_for_end(const Process& process, std::chrono::milliseconds time);

}  // namespace clawrun::state
