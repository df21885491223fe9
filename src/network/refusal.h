// What nftables refused in the sandbox's network namespace, read from the kernel's messages: libnetfilter_log.
#pragma once

#include <string_view>
#include <vector>

#include "spec/outcome.h"

namespace clawrun::network {

// One packet of a socket of the refusals' group. The kernel made it, of the headers of a packet that a sandbox made: each length
// is checked, and what is cut off or of no known kind is left out. Without a time.
std::vector<spec::NetworkDecision> refusals_in(std::string_view packet);

}  // namespace clawrun::network
