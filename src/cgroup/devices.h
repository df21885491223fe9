// The device policy of a group: by an eBPF program in v2, by devices.allow and devices.deny in v1.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroup/device_table.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

// What every sandbox has: null, zero, full, random, urandom, tty, ptmx and the pseudo-terminals. Nodes may be made of any
// device, as elsewhere in the field: unpacking an image needs it, CAP_MKNOD guards it, and a node that nobody here may open is
// but a name.
std::vector<DeviceRule> default_device_rules();

// The program of these rules in the kernel. It can be loaded before the group is there, and attached to any number of groups.
Result<UniqueFd> load_device_program(std::span<const DeviceRule> rules);

// Puts a loaded program on a v2 group by its directory, in the place of what an earlier call put there. Programs of others stay
// and count too: an access is allowed if every program of the group and of those above it allows it. There is no moment without
// a policy of ours, also when several processes do this at once.
Result<> attach_device_program(int cgroup_fd, const UniqueFd& program);

// Both.
Result<> attach_device_program(int cgroup_fd, std::span<const DeviceRule> rules);

// One write to a file of the v1 devices controller.
struct DeviceLine {
  std::string file;  // "devices.deny" or "devices.allow"
  std::string text;  // "c 1:3 rw", or "a *:* rwm"
  bool operator==(const DeviceLine&) const = default;
};

// What brings a v1 group from any policy to the one of the rules. What v1 cannot express is an error: it cannot take away a part
// of what a wider rule grants, unless everything that no rule denies is granted.
Result<std::vector<DeviceLine>> device_lines_v1(std::span<const DeviceRule> rules);

// The same from the policy that devices.list shows: only the differences, those that grant first, so that each access meets the
// old policy or the new one.
Result<std::vector<DeviceLine>> device_changes_v1(std::span<const DeviceRule> rules, std::string_view devices_list);

// Writes device_changes_v1() to the group in `directory`.
Result<> write_device_rules_v1(const std::string& directory, std::span<const DeviceRule> rules);

}  // namespace clawrun::cgroup
