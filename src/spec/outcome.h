// How a sandbox ended: plain data for the exit code, the report and the library.
#pragma once

#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cgroup/usage.h"

namespace clawrun::spec {

enum class Status : std::uint8_t { kExited, kSignaled, kTimeout, kOom, kSetupFailed };

// One thing that a sandbox wanted of the outside, and what became of it: --network allow.
struct NetworkDecision {
  std::string time;  // RFC 3339
  std::string host;  // "": an address that nobody resolved
  std::string address;
  std::uint16_t port = 0;
  std::string protocol;  // tcp, udp, dns, icmp
  std::string verdict;   // allowed, denied, failed
  std::string rule;      // "": none
  std::string reason;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint64_t duration_ms = 0;
};

struct NetworkUse {
  std::vector<NetworkDecision> events;  // the first ones
  std::uint64_t events_lost = 0;        // how many came after them, or were never told
  struct Denied {
    NetworkDecision first;
    std::uint64_t count = 0;
  };
  std::vector<Denied> denied;  // of each host, port and protocol
};

struct Outcome {
  Status status = Status::kSetupFailed;
  int exit_code = 0;   // of the command; with kSetupFailed the exit status of clawrun
  int signal = 0;      // that ended the command, or 0
  std::string reason;  // a sentence, where the status alone does not say it
  std::string id;
  std::chrono::system_clock::time_point started_at;
  std::uint64_t wall_us = 0;
  std::uint64_t cpu_user_us = 0;
  std::uint64_t cpu_system_us = 0;
  // Without a cgroup that counts memory, the largest resident set of any one process: getrusage(2) ru_maxrss.
  std::uint64_t memory_peak_bytes = 0;
  // How much of standard output and error was thrown away, where they were limited or captured.
  std::optional<std::uint64_t> stdout_lost_bytes;
  std::optional<std::uint64_t> stderr_lost_bytes;
  bool oom_killed = false;             // the kernel killed at least one process of it for want of memory
  std::optional<NetworkUse> network;   // with --network allow
  std::optional<cgroup::Usage> usage;  // what its cgroup counted, where it had one
  std::vector<std::pair<std::string, std::uint64_t>> stages_us;
};

}  // namespace clawrun::spec
