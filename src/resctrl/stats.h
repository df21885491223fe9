// What resctrl says of a container's group: the limits of the machine, its lines, what it uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "resctrl/group.h"

namespace clawrun::resctrl {

struct CacheInfo {
  std::string mask;  // hexadecimal
  std::uint64_t least_bits = 0;
  std::uint64_t groups = 0;  // that there can be
};

struct BandwidthInfo {
  std::uint64_t step = 0;  // per cent
  std::uint64_t linear = 0;
  std::uint64_t least = 0;
  std::uint64_t groups = 0;
};

// Of one cache.
struct Use {
  std::uint64_t total_bytes = 0;  // of memory bandwidth, since the group was made
  std::uint64_t local_bytes = 0;
  std::uint64_t occupied_bytes = 0;
};

struct Stats {
  std::optional<CacheInfo> cache;
  std::string cache_root_line;
  std::string cache_line;
  std::optional<BandwidthInfo> bandwidth;
  std::string bandwidth_root_line;
  std::string bandwidth_line;
  bool counts_bandwidth = false;
  bool counts_occupancy = false;
  std::vector<Use> uses;  // by the names of their directories
};

// What the kernel does not say is left out.
Stats read_stats(const Group& group);

}  // namespace clawrun::resctrl
