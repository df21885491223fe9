// Interfaces and their addresses: what is asked and told of them through a RouteSocket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/route_socket.h"

namespace clawrun::net {

struct Link {
  int index = 0;
  bool is_up = false;
};

// An address with all that it was given with. Numbers and bytes are the kernel's: rtnetlink(7), IFA_*.
struct Address {
  struct Part {
    std::uint16_t type = 0;
    std::string bytes;
  };
  std::uint8_t family = 0;
  std::uint8_t prefix_length = 0;
  std::uint32_t flags = 0;  // those that its owner may set
  std::vector<Part> parts;
  std::string label;  // IPv4; "": none
};

// nullopt: the namespace has none of this name.
Result<std::optional<Link>> find_link(RouteSocket& socket, const std::string& name);

// Those that somebody set and that mean the same in every namespace: IFA_F_PERMANENT, of scope "universe".
Result<std::vector<Address>> permanent_addresses(RouteSocket& socket, int index);

// To the namespace of the descriptor, under this name. That it fails does not mean that it has not moved: the kernel renames
// afterwards.
Result<> move_link(RouteSocket& socket, int index, int namespace_fd, const std::string& name);

Result<> set_up(RouteSocket& socket, int index);
Result<> add_address(RouteSocket& socket, int index, const Address& address);

// The label of an address after its interface has become another one: "eth0" and "eth0:web" begin with the name.
std::string renamed_label(const std::string& label, const std::string& from, const std::string& to);

// "192.0.2.1/24", for messages.
std::string address_text(const Address& address);

}  // namespace clawrun::net
