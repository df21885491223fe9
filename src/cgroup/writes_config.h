// What only configurations ask for, and what they mean otherwise than the options do; parts of writes.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/limits.h"
#include "cgroup/writes.h"

namespace clawrun::cgroup {

void add_config_v2(const Limits& limits, std::vector<Write>& into);

// Memory and swap, whose order depends on the limit that the group has.
Result<> add_memory_config_v1(const Limits& limits, std::uint64_t before_bytes, std::vector<Write>& into);
Result<> add_config_v1(const Limits& limits, std::vector<Write>& into);

void add_config_asked(const Limits& limits, std::vector<Asked>& into);

// Takes away what other controllers enforce.
void keep_config_only(Limits& limits, const std::vector<std::string>& controllers);

}  // namespace clawrun::cgroup
