// Whether this kernel keeps strangers off the sibling threads of a core: prctl(2), PR_SCHED_CORE.
#pragma once

#include <string>
#include <string_view>

#include "host/explain.h"

namespace clawrun::host {

inline constexpr const char* kSmtControlFile = "/sys/devices/system/cpu/smt/control";

// 0 where it does, else the errno of a call that only reads the caller's own cookie. Changes nothing. Thread-safe.
int probe_core_scheduling();

// Why not, and what mends it; `smt_control` is the text of that file, "" where it cannot be read.
Explanation explain_core_scheduling(int errno_value, std::string_view smt_control);

// Whether two programs can run on one core at the same instant at all; true where that is not known.
bool cores_are_shared(int errno_value, std::string_view smt_control);

// One line, "reason; remedy"; "" where core scheduling can be had.
std::string core_scheduling_refusal();

}  // namespace clawrun::host
