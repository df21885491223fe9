// Netlink requests as bytes, for the child to send: it has no heap to use libnl with.
#pragma once

#include <string_view>

namespace clawrun::net {

// RTM_NEWLINK that sets IFF_UP on the loopback interface (index 1 in every network namespace), with NLM_F_ACK:
// rtnetlink(7). Written by libnl when clawrun is built (generate.cc): its static library would bring getaddrinfo and with
// it NSS into the command. Lives as long as the process.
std::string_view loopback_up_request();

}  // namespace clawrun::net
