// The request of the command, read from text; cgroup/systemd_protocol.h has the format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clawrun::systemd {

struct Socket {
  bool is_peer = false;  // systemd's own, without a message bus between
  std::string path;
};

// One step of building a value: a basic type with its text, 'a' or 'r' that open a container, '.' that closes it.
struct Step {
  char type = '.';
  std::string text;
};

struct Property {
  std::string name;
  std::string signature;
  std::vector<Step> steps;
};

struct Request {
  std::uint64_t deadline_ms = 0;
  std::vector<Socket> sockets;
  std::string verb;  // "start", "set" or "stop"
  std::string unit;
  std::vector<Property> properties;
};

Result<Request> parse_request(std::string_view text);

}  // namespace clawrun::systemd
