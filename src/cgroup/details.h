// All that a container's cgroups count, for engines that ask for statistics; read_usage() has what every sandbox's end costs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/location.h"
#include "cgroup/usage.h"

namespace clawrun::cgroup {

// One kind of memory. A number that the kernel does not give is unset.
struct MemoryCount {
  std::optional<std::uint64_t> limit_bytes;  // none: kUnlimited on v2, and on v1 the largest multiple of a page
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint64_t> peak_bytes;
  std::optional<std::uint64_t> failures;
};

// One line of a file such as blkio.throttle.io_service_bytes_recursive.
struct BlkioEntry {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::string operation;  // "Read", "Write", …; ""
  std::uint64_t value = 0;
};

struct HugetlbCount {
  std::uint64_t bytes = 0;
  std::uint64_t peak_bytes = 0;  // v1
  std::uint64_t failures = 0;
};

struct PressureLine {
  double average_10 = 0;
  double average_60 = 0;
  double average_300 = 0;
  std::uint64_t total_us = 0;
};
struct PressureDetails {
  PressureLine some;
  PressureLine full;
};

struct Details {
  Usage usage;
  bool is_v2 = false;  // memory is counted there
  // Nanoseconds of each processor: v1 alone.
  std::vector<std::uint64_t> percpu_ns;
  std::vector<std::uint64_t> percpu_user_ns;
  std::vector<std::uint64_t> percpu_kernel_ns;
  MemoryCount memory;
  MemoryCount memory_and_swap;  // together, on v2 too
  MemoryCount kernel_memory;
  MemoryCount tcp_memory;
  std::map<std::string, std::uint64_t> memory_stat;
  std::string cpuset_cpus;  // lists of what can be used
  std::string cpuset_mems;
  std::map<std::string, std::uint64_t> cpuset_flags;  // v1, by the names of the files after "cpuset."
  std::vector<BlkioEntry> io_service_bytes;
  std::vector<BlkioEntry> io_serviced;
  std::map<std::string, HugetlbCount> hugetlb;  // by page size
  std::optional<PressureDetails> cpu_pressure;
  std::optional<PressureDetails> memory_pressure;
  std::optional<PressureDetails> io_pressure;
};

// Fails only where the groups are gone. Thread-safe.
Result<Details> read_details(const Location& location);

}  // namespace clawrun::cgroup
