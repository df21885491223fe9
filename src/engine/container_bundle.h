// A bundle as `create` and `restore` read it, and what else both begin a container with.
#pragma once

#include <string>

#include "base/result.h"
#include "cgroup/limits.h"
#include "cgroup/place.h"
#include "engine/containers.h"
#include "oci/config.h"

namespace clawrun::engine {

// What config.json and the words of the command line come to.
struct Bundle {
  std::string path;
  std::string text;  // of config.json
  oci::Config config;
  std::string rootfs;
};

// `directory`: "" is the working directory. `config_file`: "" is config.json of the bundle.
Result<Bundle> read_bundle(const std::string& directory, const std::string& config_file);

// Where the container's cgroup is to be.
Result<cgroup::Place> find_place(const Runtime& runtime, const std::string& id, const oci::Config& config,
                                 const cgroup::Limits& limits);

// RFC 3339 with nanoseconds, UTC.
std::string now();

}  // namespace clawrun::engine
