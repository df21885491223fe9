// What a cgroup limits: plain data in units, the same for both versions of cgroups and for systemd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
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

// v1 "blkio.weight_device", v2 "io.bfq.weight": of one block device, 10..1000 both.
struct DeviceWeight {
  std::string device;  // "MAJOR:MINOR"
  std::optional<std::uint32_t> weight;
  std::optional<std::uint32_t> leaf_weight;
};

struct HugetlbMax {
  std::string page_size;  // "2MB", as in the names of the files
  std::uint64_t bytes = 0;
};

struct NetPriority {
  std::string interface;
  std::uint32_t priority = 0;
};

struct RdmaMax {
  std::string device;
  std::optional<std::uint32_t> handles;
  std::optional<std::uint32_t> objects;
};

// Whose words a message uses, and whose meaning a limit has where the two differ: options of the command line, for which swap
// that is not named is none, or members of linux.resources, where what is not named is left as it is.
enum class AskedBy : std::uint8_t { kOptions, kConfig };

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

  // Of configurations alone.
  AskedBy asked_by = AskedBy::kOptions;
  std::optional<std::uint64_t> memory_low_bytes;       // memory.low; v1 memory.soft_limit_in_bytes
  std::optional<std::uint64_t> memory_and_swap_bytes;  // v1 memory.memsw; v2 counts swap alone: settle_swap()
  std::optional<std::uint64_t> memory_tcp_bytes;       // v1 memory.kmem.tcp
  std::optional<std::uint64_t> swappiness;             // v1, 0..100
  std::optional<bool> oom_kill_disabled;               // v1
  bool memory_checks_usage = false;                    // v2: a memory limit below what is used now is refused
  std::optional<std::uint64_t> cpu_named_period_us;    // the period where it was named, with a quota or without one
  std::optional<std::uint64_t> cpu_burst_us;
  std::optional<std::int64_t> cpu_rt_runtime_us;  // v1; -1: all of it
  std::optional<std::uint64_t> cpu_rt_period_us;  // v1
  std::optional<bool> cpu_idle;
  std::optional<std::string> cpuset_mems;
  std::optional<std::uint32_t> blkio_weight;       // 10..1000
  std::optional<std::uint32_t> blkio_leaf_weight;  // v1, 10..1000
  std::vector<DeviceWeight> blkio_device_weights;
  std::vector<HugetlbMax> hugetlb;
  std::optional<std::uint32_t> net_class_id;  // v1 net_cls
  std::vector<NetPriority> net_priorities;    // v1 net_prio
  std::vector<RdmaMax> rdma;
  std::vector<std::pair<std::string, std::string>> unified;  // files of v2 by name, written last
};

}  // namespace clawrun::cgroup
