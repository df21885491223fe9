// A Plan as an OCI bundle: a config.json that gives the same sandbox under any runtime, and what no runtime can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/facts.h"
#include "plan/plan.h"
#include "seccomp/table.h"

namespace clawrun::report {

inline constexpr const char* kNotExpressedAnnotation = "run.clawrun.not-expressed";
inline constexpr const char* kBundleRoot = "rootfs";

// An entry of a root directory. It is shown entry by entry in a root of the bundle's own: config.json has no words for a root
// whose mounts are nosuid, nodev and read-only throughout, and mount points that are missing need a place.
struct RootEntry {
  host::HostEntry entry;
  bool only_made = false;  // a mount point, or a directory that holds some: made anew; what else is in it follows
};

struct BundleFacts {
  // Started by root: root inside, which runtimes set the container up as, is this id of the host; the sandbox's user, where it
  // is another one, the next.
  std::uint32_t first_host_id = 0;
  std::optional<seccomp::Table> seccomp;  // of the plan's profile; nullopt: unconfined
  std::vector<RootEntry> root_entries;    // of root_directory()
  std::uint32_t root_mode = 0755;         // likewise: whoever may not look into it may not in the bundle
  bool counts_swap = true;                // the kernel has a limit of memory and swap together
};

// What is made below kBundleRoot, in this order.
struct BundleEntry {
  enum class Kind : std::uint8_t { kDirectory, kFile, kSymlink };
  Kind kind = Kind::kDirectory;
  std::string path;  // without a leading slash
  std::uint32_t mode = 0755;
  std::string data;  // of a file; of a symbolic link what it points to
};

struct Bundle {
  std::string config;              // config.json, with a newline at its end
  std::uint32_t root_mode = 0755;  // of kBundleRoot itself
  std::vector<BundleEntry> root;
  std::vector<std::string> not_expressed;
  // Root inside as a group of the host, where that is not the caller: it has to reach the bundle while it sets the container up.
  std::optional<std::uint32_t> setup_gid;
};

// nullptr where the root is made of the host's entries.
const std::string* root_directory(const plan::Plan& plan);

// Where the sandbox will have mounts, absolute.
std::vector<std::string> mount_points(const plan::Plan& plan);

// Pure; thread-safe.
Result<Bundle> to_bundle(const plan::Plan& plan, const BundleFacts& facts);

}  // namespace clawrun::report
