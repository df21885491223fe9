// Limits as properties of a systemd unit; pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"
#include "cgroup/unit_value.h"

namespace clawrun::cgroup {

struct SystemdProperties {
  std::vector<UnitProperty> properties;
  // What the properties do not say, or say too widely: the caller writes it to the scope's own files.
  Limits direct;
};

// systemd.resource-control(5), org.freedesktop.systemd1(5). The properties are never tighter than the limits.
Result<SystemdProperties> systemd_properties(const Limits& limits);

}  // namespace clawrun::cgroup
