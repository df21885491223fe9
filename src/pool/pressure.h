// A wake-up when memory is short: PSI, kernel.org Documentation/accounting/psi.rst.
#pragma once

#include "base/unique_fd.h"

namespace clawrun::pool {

// Gives EPOLLPRI when tasks have waited for memory for 150 ms of the last 2 s; invalid where this host or user has no such thing.
UniqueFd watch_memory_pressure();

}  // namespace clawrun::pool
