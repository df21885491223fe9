// The container's root: from the directory of the bundle to the "/" of its first process.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "container/mount.h"
#include "oci/config.h"

namespace clawrun::container {

// All of this runs in the container's process, in this order. `site.root` is set by prepare_root().

// The propagation of what was inherited, and the root directory as a mount of its own.
Result<> prepare_root(Site& site, const oci::Config& config, const std::string& rootfs);

// `mounts`, then devices and links of /dev.
Result<> fill_root(const Site& site, const oci::Config& config);

enum class RootSwitch : std::uint8_t { kPivot, kMove, kChroot };

// After it, "/" is the container's root, and no path leads to the host's.
Result<> switch_root(const Site& site, RootSwitch how);

// maskedPaths and readonlyPaths, when everything is mounted and before the root changes: /dev/null is still the host's
// (CVE-2025-31133), and no detached mount is left over whose end would have to be waited for.
Result<> cover_paths(const Site& site, const oci::Config& config);

// What comes last: a read-only root, its propagation.
Result<> close_root(const oci::Config& config);

// devices.cc
Result<> make_devices(const Site& site, const oci::Config& config);

}  // namespace clawrun::container
