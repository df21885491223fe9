// The request of the supervisor, read strictly from its JSON; protocol.h has the format.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/inject.h"
#include "gateway/limits.h"
#include "gateway/rules.h"

namespace clawrun::gateway {

struct Sockets {
  std::vector<int> tcp;
  std::vector<int> udp;
  std::vector<int> dns_udp;
  std::vector<int> dns_tcp;
  std::vector<int> proxy;
};

struct Request {
  std::string sandbox;
  Sockets sockets;
  int events = -1;
  int lifeline = -1;
  std::vector<Rule> allow;
  std::vector<Rule> deny;
  std::optional<Network> synthetic4;
  std::optional<Network> synthetic6;
  std::vector<Endpoint> resolvers;
  Limits limits;
  std::vector<Injection> inject;
  std::map<std::string, int> credentials;
  std::optional<int> authority_certificate;
  std::optional<int> authority_key;
  std::string trust_file = "/etc/ssl/certs/ca-certificates.crt";
  unsigned uid = 65534;
  unsigned gid = 65534;

  // Every descriptor that it names.
  [[nodiscard]] std::vector<int> descriptors() const;
};

// Pure: whether the descriptors are there is seen when they are used. None is named twice.
Result<Request> parse_request(std::string_view json);

}  // namespace clawrun::gateway
