// What is asked of systemd: starting a scope, changing a unit, stopping one.
#pragma once

#include <string>

#include "systemd/bus.h"
#include "systemd/request.h"

namespace clawrun::systemd {

// The control group of a scope that was started, else "". A scope that is started but not done when the time is up, or when the
// command is gone, is stopped again.
Result<std::string> serve(Bus& bus, const Request& request);

}  // namespace clawrun::systemd
