// What the runtime and a container's process say to each other while the container is made: one packet each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::container {

enum class Word : std::uint8_t {
  // of the process
  kMapMe,     // it is in a new user namespace, and waits for its maps
  kStarted,   // `number` is the pid of the process that goes on; the one that sends this ends
  kNetwork,   // it is in its network namespace: devices of the runtime
  kMounted,   // everything is mounted and the root not yet changed: hooks of the runtime
  kLimits,    // it wants its resource limits, while it still is who the runtime is
  kListener,  // `number` is its descriptor of a seccomp listener
  kReady,     // all is done but the gate and the exec; a first process says it again when it may outlive the runtime
  kError,     // `text`, `kind`, `number` is errno
  // of the runtime
  kGo,
  kJoin,  // descriptors: give(), take()
};

struct Message {
  Word word = Word::kGo;
  ErrorKind kind = ErrorKind::kInternal;
  std::int64_t number = 0;
  std::string text;
};

Result<> say(int socket, const Message& message);

// nullopt: the other side is gone.
Result<std::optional<Message>> hear(int socket);

// kJoin with descriptors, at most 253: unix(7). One that is gone is not an error of who gives.
Result<> give(int socket, const std::vector<UniqueFd>& descriptors);
Result<std::vector<UniqueFd>> take(int socket);

}  // namespace clawrun::container
