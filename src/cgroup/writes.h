// Limits as values for control files, for both versions of cgroups; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

struct Write {
  std::string_view controller;
  std::string file;
  std::string value;
  std::string_view setting;  // the option that asked for it, without dashes
  bool optional = false;     // a file that may be missing without harm: there is nothing for it to limit then
};

// In the order in which they must be written.
std::vector<Write> writes_v2(const Limits& limits);

// What v1 cannot do is an error that says so. `memory_before_bytes` is the limit that a live group has: memory.limit_in_bytes
// must never be above memory.memsw.limit_in_bytes, so which goes first depends on it.
Result<std::vector<Write>> writes_v1(const Limits& limits, std::uint64_t memory_before_bytes = kUnlimited);

// The v2 names of the controllers that the limits need.
std::vector<std::string_view> needed_controllers(const Limits& limits);

// Those of the limits that these controllers enforce, by their v2 names.
Limits only(const Limits& limits, const std::vector<std::string>& controllers);

// "blkio" for "io", else the same.
std::string_view v1_name(std::string_view controller);

// cpu.shares (2..262144) as cpu.weight (1..10000): the curve on which 1024 is 100, both the default.
std::uint32_t weight_of_shares(std::uint64_t shares);

// The other way round in proportion, so that what two weights say of each other stays true.
std::uint64_t shares_of_weight(std::uint32_t weight);

}  // namespace clawrun::cgroup
