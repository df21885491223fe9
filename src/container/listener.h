// The listener of a seccomp filter with SCMP_ACT_NOTIFY, handed to the agent of linux.seccomp.listenerPath.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

// The descriptor `number` of a process: pidfd_getfd(2). The process may not be able to send it any more.
Result<UniqueFd> take_listener(int pidfd, int number);

// Sends it with the container process state of config-linux.md: of the process `pid`, `state` being the container's.
Result<> send_listener(const oci::Config& config, const UniqueFd& listener, pid_t pid, const std::string& state);

}  // namespace clawrun::container
