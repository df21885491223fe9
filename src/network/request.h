// The one text that the gateway is started with: gateway/protocol.h.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace clawrun::network {

// Descriptors as the gateway has them.
struct RequestDescriptors {
  std::vector<int> listeners;  // one for each of the plan's
  int events = -1;
  int lifeline = -1;
  std::vector<int> credentials;  // likewise
};

std::string gateway_request(const std::string& sandbox, const plan::Gateway& gateway, const std::vector<net::Listener>& listeners,
                            const RequestDescriptors& descriptors);

}  // namespace clawrun::network
