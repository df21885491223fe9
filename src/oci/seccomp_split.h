// Filters that outgrow one program: several, each of which decides some of the calls.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "seccomp/call_tree.h"

namespace clawrun::oci {

struct FilterParts {
  std::span<const seccomp::ArchCalls> arches;  // the native one first
  seccomp::Leaves& leaves;
  std::size_t other_arch = 0;     // the leaf for calls of other architectures
  std::uint32_t load_number = 0;  // seccomp(2): the program that decides it has to be the last, or none could be loaded after it
};

// One program where that is enough. Only the last one answers SECCOMP_RET_USER_NOTIF.
Result<std::vector<std::vector<sock_filter>>> write_programs(const FilterParts& parts);

}  // namespace clawrun::oci
