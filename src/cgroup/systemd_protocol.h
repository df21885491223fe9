// What the command and its helper clawrun-systemd say to each other: one message each way over a SOCK_SEQPACKET socket.
#pragma once

#include <cstddef>
#include <string_view>

// The request is lines, in this order:
//   clawrun-systemd VERSION
//   deadline MS
//   bus PATH | peer PATH       where to look, the first that can be connected to: a message bus, or systemd's own socket
//   start UNIT | set UNIT | stop UNIT
//   property NAME SIGNATURE    of start and set, each followed by the steps that build its value:
//     TYPE TEXT                  a basic type of D-Bus and its value
//     a SIGNATURE | r SIGNATURE  opens an array or a struct that contains SIGNATURE
//     .                          closes it
// The answer is "ok", a blank and the scope's control group ("" for set and stop), or an error in four parts that tabulators
// separate: "error", what was awaited (a method's name, kConnecting or kJob), what came instead (a D-Bus error's name, a job's
// result, or one of the words below), and the words of others about it. Nothing after the third tabulator is to be trusted.
namespace clawrun::cgroup::systemd_protocol {

inline constexpr std::string_view kGreeting = "clawrun-systemd " CLAWRUN_VERSION;
inline constexpr std::size_t kLargestMessage = 65'536;

inline constexpr std::string_view kConnecting = "connecting";
inline constexpr std::string_view kJob = "job";
inline constexpr std::string_view kReading = "request";  // the request itself is not understood: a mistake of ours

inline constexpr std::string_view kDeadline = "deadline";  // nothing came in time
inline constexpr std::string_view kMissing = "missing";    // no socket takes connections
inline constexpr std::string_view kClosed = "closed";      // the other side hung up

}  // namespace clawrun::cgroup::systemd_protocol
