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

}  // namespace clawrun::container
