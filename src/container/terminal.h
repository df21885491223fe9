// A container's own terminal.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

// A new pair of the devpts below `root` ("/" once the root has changed), checked to be one (CVE-2025-52565).
struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};
Result<Terminal> open_terminal(int root);

// Sends the master with the name of the slave, as the receivers of --console-socket want it.
Result<> send_master(int console_socket, const Terminal& terminal);

Result<> set_size(int terminal, const oci::ConsoleSize& size);

// The slave becomes stdin, stdout and stderr. It is given to `uid`.
Result<> place_terminal(const Terminal& terminal, uid_t uid);

// And then the controlling terminal of this session leader, which needs no rights.
Result<> control_terminal();

// Without a terminal: the pipes of stdin, stdout and stderr are given to `uid`, for the same reason. Best effort: what cannot
// be given is still open.
void give_pipes(uid_t uid);

// Where stdin, stdout or stderr is the host's null device, the container's own takes its place: its root could give the
// host's another owner and mode. Before the root changes.
Result<> take_null_device(int root);

// The slave at /dev/console, by descriptor.
Result<> bind_console(int root, const Terminal& terminal);

}  // namespace clawrun::container
