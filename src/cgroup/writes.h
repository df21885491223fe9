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
  // Where `file` is missing: another that does the same.
  std::string other_file = {};
  std::string other_value = {};
  // A value that the kernel may take only beside a later one of the same list: it is then written once more after them.
  bool may_wait = false;
  AskedBy asked_by = AskedBy::kOptions;
};

// "--memory", or "linux.resources.memory.limit".
std::string name_of(std::string_view setting, AskedBy asked_by);

// In the order in which they must be written.
std::vector<Write> writes_v2(const Limits& limits);

// Limits of a configuration that v2 has nothing for.
Result<> check_v2(const Limits& limits);

// memory_and_swap_bytes as memory_swap_bytes, where the limit of memory is given or is `memory_now_bytes`.
Result<> settle_swap(Limits& limits, std::optional<std::uint64_t> memory_now_bytes);

// What v1 cannot do is an error that says so. `memory_before_bytes` is the limit that a live group has: memory.limit_in_bytes
// must never be above memory.memsw.limit_in_bytes, so which goes first depends on it.
Result<std::vector<Write>> writes_v1(const Limits& limits, std::uint64_t memory_before_bytes = kUnlimited);

// What the limits ask for, what they only lift left out: the controllers by their v2 names (those that v2 lacks by that of v1).
struct Asked {
  std::string controller;
  std::string setting;  // as in Write
};
std::vector<Asked> asked_for(const Limits& limits);

// The v2 names of the controllers that the limits need.
std::vector<std::string_view> needed_controllers(const Limits& limits);

// The controller of a file of v2 by its name; "" where every group has it, as "cgroup.max.depth" and "memory.pressure".
std::string controller_of_file(std::string_view file);

// Those of the limits that these controllers enforce, by their v2 names.
Limits only(const Limits& limits, const std::vector<std::string>& controllers);

// "blkio" for "io", else the same.
std::string_view v1_name(std::string_view controller);

// blkio.weight (10..1000) as io.weight (1..10000), on a straight line as elsewhere in the field.
std::uint32_t io_weight_of_blkio(std::uint32_t weight);

// cpu.shares (2..262144) as cpu.weight (1..10000): the curve on which 1024 is 100, both the default.
std::uint32_t weight_of_shares(std::uint64_t shares);

// The other way round in proportion, so that what two weights say of each other stays true.
std::uint64_t shares_of_weight(std::uint32_t weight);

}  // namespace clawrun::cgroup
