// Datagrams with the address that they were sent to, and answers that come from there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "gateway/address.h"

namespace clawrun::gateway {

inline constexpr std::size_t kMaxDatagramBytes = 65535;

// Asks for the destination of each datagram.
Result<> ask_for_destinations(int socket);

struct Datagram {
  std::size_t size = 0;
  Endpoint from;
  Endpoint to;
};
// nullopt: there is none now, or none that can be told.
std::optional<Datagram> receive_datagram(int socket, std::span<std::uint8_t> buffer);

// To `back.from`, from the address `back.to`, with the port of the socket. What does not fit now is lost, as datagrams are.
void answer_datagram(int socket, const Datagram& back, std::span<const std::uint8_t> bytes);

}  // namespace clawrun::gateway
