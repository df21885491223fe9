// A container's process in the foreground: its end, its terminal, the caller's signals.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "container/launch.h"
#include "supervise/supervise.h"

namespace clawrun::engine {

// A terminal's way to the caller, without a console socket of anybody else's.
struct OwnConsole {
  UniqueFd ours;
  UniqueFd theirs;  // Launch::console_socket
};
Result<OwnConsole> own_console();

// Until the process has ended: signals go to it, and what it says on its terminal (`console`, if valid, has its master waiting)
// comes out. Its exit status, 128 + n for signal n. Children that come to us as their subreaper are reaped.
Result<int> wait_in_foreground(const container::Started& started, const UniqueFd& console,
                               const supervise::ForwardedSignals& signals);

// connect(2) to the receiver of a terminal or a pidfd.
Result<UniqueFd> connect_socket(const std::string& path, std::string_view option);

// To the receiver at `path`, where there is one: the descriptor with the name of what it is. `option` is what named it.
Result<> send_pidfd(const std::string& path, std::string_view option, int pidfd);
inline constexpr std::string_view kPidfdReceiver = "annotations[\"run.oci.pidfd_receiver\"]";

// Digits alone; it appears whole, by rename(2).
Result<> write_pid_file(const std::string& path, pid_t pid);

}  // namespace clawrun::engine
