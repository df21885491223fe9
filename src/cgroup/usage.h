// What a cgroup has used, in the words of its own files; a number that the kernel does not give is unset, never zero.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace clawrun::cgroup {

struct Location;

// One device's line of io.stat; v1: blkio.throttle.io_service_bytes and io_serviced.
struct IoUsage {
  std::string device;  // "MAJOR:MINOR"
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
};

// Pressure stall information: Documentation/accounting/psi.rst. Time for which some, or all, of the processes waited.
struct Pressure {
  std::uint64_t some_us = 0;
  std::uint64_t full_us = 0;
};

struct Usage {
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> memory_peak_bytes;
  std::optional<std::uint64_t> memory_limit_bytes;  // kUnlimited: none
  std::optional<std::uint64_t> swap_bytes;
  std::optional<std::uint64_t> cpu_us;  // user and system together
  std::optional<std::uint64_t> cpu_user_us;
  std::optional<std::uint64_t> cpu_system_us;
  std::optional<std::uint64_t> cpu_periods;  // that ended while a quota was set
  std::optional<std::uint64_t> cpu_throttled_periods;
  std::optional<std::uint64_t> cpu_throttled_us;
  std::optional<std::uint64_t> pids;
  std::optional<std::uint64_t> pids_peak;
  std::optional<std::uint64_t> pids_limit;       // kUnlimited: none
  std::optional<std::uint64_t> pids_limit_hits;  // forks refused: pids.events
  bool has_io = false;  // the group is in the io controller: `io` has a line for each device that was used
  std::vector<IoUsage> io;
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
  std::optional<std::uint64_t> oom_kills;  // processes killed: memory.events, v1 memory.oom_control
  std::optional<bool> frozen;
};

// How many processes the kernel killed for want of memory so far; a tenth of the cost of read_usage().
std::uint64_t oom_kills(const Location& location);

// Fails only where the group is gone; a controller that it is not in gives no numbers. Thread-safe.
Result<Usage> read_usage(const Location& location);

}  // namespace clawrun::cgroup
