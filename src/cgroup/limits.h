// What a cgroup limits: plain data in units, the same for both versions of cgroups and for systemd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace clawrun::cgroup {

// cgroup v2 "io.max", v1 "blkio.throttle.*": of one block device.
struct IoMax {
  std::string device;  // "MAJOR:MINOR" of the whole disk
  std::optional<std::uint64_t> read_bytes_per_s;
  std::optional<std::uint64_t> write_bytes_per_s;
  std::optional<std::uint64_t> read_operations_per_s;
  std::optional<std::uint64_t> write_operations_per_s;
};

// One line of a device policy; later lines override earlier ones, and what no line names is denied.
struct DeviceRule {
  bool allow = true;
  char type = 'a';                     // 'c', 'b', or 'a' for both, in which case major and minor are unset
  std::optional<std::uint32_t> major;  // nullopt: any
  std::optional<std::uint32_t> minor;
  bool read = true;
  bool write = true;
  bool mknod = true;
};

inline constexpr std::uint64_t kUnlimited = UINT64_MAX;  // "max" in v2, -1 in v1: a limit that is lifted

// What is unset is left as the kernel has it. `kUnlimited` lifts a limit, which matters when a live group is updated.
struct Limits {
  std::optional<std::uint64_t> memory_bytes;       // memory.max
  std::optional<std::uint64_t> memory_swap_bytes;  // memory.swap.max: swap alone, not the sum with memory
  std::optional<std::uint64_t> memory_high_bytes;  // memory.high
  std::optional<std::uint64_t> cpu_quota_us;       // of each period: cpu.max
  std::uint64_t cpu_period_us = 100'000;
  std::optional<std::uint32_t> cpu_weight;  // 1..10000: cpu.weight
  std::optional<std::uint64_t> cpu_shares;  // 2..262144: cpu.shares of v1, where it was given; cpu_weight is then its conversion
  std::optional<std::string> cpuset_cpus;   // a list such as "0-2,7": cpuset.cpus
  std::optional<std::uint64_t> pids;        // pids.max
  std::vector<IoMax> io_max;
  std::optional<std::uint32_t> io_weight;  // 1..10000: io.weight, or io.bfq.weight
  std::optional<bool> oom_group;           // memory.oom.group
  std::optional<std::vector<DeviceRule>> devices;
};

}  // namespace clawrun::cgroup
