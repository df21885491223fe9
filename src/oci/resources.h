// linux.resources as what cgroups limit; pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"
#include "oci/config.h"

namespace clawrun::oci {

// `create` fixes what the container may do with devices; `update` leaves that as it is.
enum class LimitsFor : std::uint8_t { kCreate, kUpdate };

// A value of 0 that engines write for "not given" (cpu.shares, cpu.quota, cpu.period, cpu.realtime*, memory.*, blockIO.weight,
// pids.limit, network.classID) asks for nothing; one below 0 lifts the limit. memory.kernel, which kernels no longer have, and
// memory.useHierarchy are ignored. An impossible value is an error of kind kInvalid that begins with its JSON path. The
// devices that the specification promises (linux.resources.devices, "default devices") come after the rules of the container.
Result<cgroup::Limits> limits_of(const Resources& resources, LimitsFor what_for);

// Of annotations "org.systemd.property.NAME": NAME and value, for cgroup::ContainerPlaceRequest.
std::vector<std::pair<std::string, std::string>> systemd_properties_of(const std::map<std::string, std::string>& annotations);

}  // namespace clawrun::oci
