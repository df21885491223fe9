// The lines of `events`, in the shape that engines parse (go-runc's events.go).
#pragma once

#include <optional>
#include <string>

#include "cgroup/details.h"
#include "resctrl/stats.h"

namespace clawrun::oci {

// {"type":"stats","id":…,"data":{"cpu":…,"cpuset":…,"memory":…,"pids":…,"blkio":…,"hugetlb":…,"intel_rdt":…,
// "network_interfaces":null}} without a line's end. Times are in nanoseconds; what the kernel does not count is 0 or left out.
// A container without a group in resctrl has no `rdt`, and {} there.
std::string stats_json(const std::string& id, const cgroup::Details& details, const std::optional<resctrl::Stats>& rdt);

// {"type":"oom","id":…}
std::string oom_json(const std::string& id);

}  // namespace clawrun::oci
