// Whether IPv6 is to be had in a network namespace that is made now.
#pragma once

namespace clawrun::host {

bool new_network_has_ipv6();

}  // namespace clawrun::host
