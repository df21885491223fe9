#include "container/sync.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace clawrun::container {

namespace {

// One packet.
struct Frame {
  Word word;
  ErrorKind kind;
  std::int64_t number;
  char text[8000];
};

constexpr std::size_t kHeadBytes = offsetof(Frame, text);

}  // namespace

Result<> say(int socket, const Message& message) {
  Frame frame{message.word, message.kind, message.number, {}};
  const std::size_t size = std::min(message.text.size(), sizeof frame.text);
  std::memcpy(frame.text, message.text.data(), size);
  // write(2), not send(2): a filter that is loaded already must let through what every program needs.
  for (;;) {
    if (::write(socket, &frame, kHeadBytes + size) >= 0) return {};
    if (errno != EINTR) return fail_errno("talking to the other side of the start");
  }
}

Result<std::optional<Message>> hear(int socket) {
  Frame frame;
  for (;;) {
    const ssize_t size = ::read(socket, &frame, sizeof frame);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != ECONNRESET) return fail_errno("listening to the other side of the start");
    if (size <= 0) return std::nullopt;
    if (static_cast<std::size_t>(size) < kHeadBytes) return fail(ErrorKind::kInternal, "a message of the start is cut off");
    return Message{frame.word, frame.kind, frame.number, std::string(frame.text, static_cast<std::size_t>(size) - kHeadBytes)};
  }
}

Result<> give(int socket, const std::vector<UniqueFd>& descriptors) {
  const Word word = Word::kJoin;
  iovec data{const_cast<Word*>(&word), sizeof word};
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    unsigned char* to = CMSG_DATA(part);
    for (const UniqueFd& fd : descriptors) {
      const int number = fd.get();
      std::memcpy(to, &number, sizeof number);
      to += sizeof number;
    }
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) >= 0 || errno == EPIPE || errno == ECONNRESET) return {};
    if (errno != EINTR) return fail_errno("handing descriptors over");
  }
}

Result<std::vector<UniqueFd>> take(int socket) {
  constexpr std::size_t kMost = 253;  // the kernel's SCM_MAX_FD
  Word word = Word::kError;
  iovec data{&word, sizeof word};
  std::vector<char> control(CMSG_SPACE(kMost * sizeof(int)));
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("taking descriptors over");
  // The runtime is gone, and with it who would read an error.
  if (size == 0) ::_exit(1);
  std::vector<UniqueFd> taken;
  for (const cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, const_cast<cmsghdr*>(part))) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
      taken.emplace_back(fd);
    }
  }
  if (word != Word::kJoin || (header.msg_flags & MSG_CTRUNC) != 0)
    return fail(ErrorKind::kInternal, "the descriptors of the cgroups were expected");
  return taken;
}

}  // namespace clawrun::container
