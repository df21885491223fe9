// sd_notify(3) of a container: what says READY=1 inside reaches the manager that has started the runtime.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::engine {

// $NOTIFY_SOCKET of the runtime; "": nobody listens.
std::string manager_socket();

// For `create`: a directory in the container's own state directory, bound into the container, and NOTIFY_SOCKET in the
// environment of its process. Nothing where nobody listens.
Result<> offer_notify_socket(const std::string& state_directory, oci::Config& config);

// For `start`, before the process goes on: the socket in that directory. -1: it was not offered.
Result<UniqueFd> bind_notify_socket(const std::string& state_directory);

// Until the container says READY=1, which is passed on with its pid, or it has ended.
Result<> pass_readiness_on(const UniqueFd& socket, pid_t pid);

}  // namespace clawrun::engine
