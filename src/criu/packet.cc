#include "criu/packet.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "criu/protocol.h"

namespace clawrun::criu {

namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(protocol::kMostDescriptors * sizeof(int));

std::vector<UniqueFd> descriptors_of(msghdr& message) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      UniqueFd taken(fd);
      // Where the caller has closed its standard streams, the numbers of those are no place for it.
      if (fd <= 2) taken = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
      descriptors.push_back(std::move(taken));
    }
  }
  return descriptors;
}

}  // namespace

Result<> send_packet(int socket, std::string_view text, std::span<const int> descriptors) {
  if (text.size() > protocol::kLargestMessage || descriptors.size() > protocol::kMostDescriptors)
    return fail(ErrorKind::kInvalid, "more mounts than CRIU can be told of: the request has " + std::to_string(text.size()) +
                                         " bytes, at most " + std::to_string(protocol::kLargestMessage) + " are allowed");
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return fail_errno("sending a message");
  }
}

Result<Packet> receive_packet(int socket) {
  Packet packet;
  packet.text.resize(protocol::kLargestMessage);
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec part{packet.text.data(), packet.text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno != ECONNRESET) return fail_errno("receiving a message");
  packet.descriptors = descriptors_of(message);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return fail(ErrorKind::kInvalid, "a message is too long");
  packet.text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return packet;
}

}  // namespace clawrun::criu
