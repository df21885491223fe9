// Packets with descriptors: unix(7) SOCK_SEQPACKET, SCM_RIGHTS.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::criu {

struct Packet {
  std::string text;  // empty: the other side is gone
  std::vector<UniqueFd> descriptors;
};

Result<> send_packet(int socket, std::string_view text, std::span<const int> descriptors = {});
Result<Packet> receive_packet(int socket);

}  // namespace clawrun::criu
