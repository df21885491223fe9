// A device policy in the one form that the program of v2 and the lines of v1 are both made of; pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

// Some of mknod, read and write, in the bits of the kernel (BPF_DEVCG_ACC_*).
using DeviceAccess = std::uint8_t;
inline constexpr DeviceAccess kMknod = 1;
inline constexpr DeviceAccess kReadAndWrite = 6;
inline constexpr DeviceAccess kFullAccess = 7;

// What is granted of every device of one type. Of the entries that name a device the most special one counts alone: with both
// numbers, else with the major number, else with the minor number, else `rest`. None grants what the next wider one grants.
struct DeviceTable {
  struct Entry {
    std::optional<std::uint32_t> major;  // nullopt: any
    std::optional<std::uint32_t> minor;
    DeviceAccess granted = 0;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> exact;   // with both numbers, in ascending order
  std::vector<Entry> majors;  // with the major number alone, likewise
  std::vector<Entry> minors;  // with the minor number alone, likewise
  DeviceAccess rest = 0;
  bool operator==(const DeviceTable&) const = default;
};

struct DeviceTables {
  DeviceTable character;
  DeviceTable block;
};

// The kernel's dev_t has 12 bits for the major number and 20 for the minor (include/linux/kdev_t.h): no device has larger ones.
inline constexpr std::uint32_t kMaxMajor = 0xfff;
inline constexpr std::uint32_t kMaxMinor = 0xfffff;

inline constexpr std::size_t kMaxDeviceRules = 1024;
// So that the program stays within the 4096 instructions that a kernel before 5.2 takes.
inline constexpr std::size_t kMaxDeviceEntries = 4000;

// Mknod, read and write of a device are judged each by itself, by the last rule that names the device and that access; what no
// rule names is denied. An access that asks for several is allowed if all of them are.
Result<DeviceTables> tabulate(std::span<const DeviceRule> rules);

}  // namespace clawrun::cgroup
