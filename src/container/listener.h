// The listener of a seccomp filter with SCMP_ACT_NOTIFY, handed to the agent of linux.seccomp.listenerPath.
#pragma once

#include <string>

#include "base/result.h"
#include "container/launch.h"
#include "oci/config.h"

namespace clawrun::container {

// Takes the process's descriptor `number` (pidfd_getfd(2): the process may not be able to send it any more) and sends it with
// the container process state of config-linux.md, `state` being the container's.
Result<> send_listener(const oci::Config& config, const Started& started, int number, const std::string& state);

}  // namespace clawrun::container
