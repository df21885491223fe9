// linux.intelRdt: the resctrl group of an OCI container.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "oci/config.h"
#include "resctrl/group.h"

namespace clawrun::engine {

// For `create`; nothing is made yet. nullopt: config.json asks for none, and resctrl is left alone.
Result<std::optional<resctrl::Group>> find_rdt_group(const oci::Config& config, const std::string& id);

// Of a container that is there.
Result<std::optional<resctrl::Group>> rdt_group_of(const oci::Config& config, const std::string& id);

}  // namespace clawrun::engine
