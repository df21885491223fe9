// Copying between a descriptor of the caller and one of the sandbox, without ever blocking the supervisor's loop.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>

namespace clawrun::supervise {

// Reads only when its buffer is empty and writes only when poll(2) says that there is room, so one slow end stops this
// relay and nothing else. Owns neither descriptor.
class Relay {
 public:
  Relay() = default;
  // Of more than `limit_bytes` the rest is read and thrown away.
  Relay(int from, int to, std::uint64_t limit_bytes = UINT64_MAX) : from_(from), to_(to), left_bytes_(limit_bytes) {}

  // What to poll for: a descriptor of -1 is passed over by poll(2).
  [[nodiscard]] pollfd wanted() const;
  // Takes what poll answered; true when the relay has just come to its end.
  bool advance(short revents);
  [[nodiscard]] bool active() const { return from_ >= 0; }
  // Something has been read and not been written yet.
  [[nodiscard]] bool pending() const { return active() && begin_ < end_; }
  void stop() { from_ = -1; }
  // How much was thrown away.
  [[nodiscard]] std::uint64_t lost_bytes() const { return lost_bytes_; }

 private:
  // POLLOUT on a pipe promises PIPE_BUF bytes of room: pipe(7). Terminals promise less.
  static constexpr std::size_t kChunk = 2048;
  int from_ = -1;
  int to_ = -1;
  std::uint64_t left_bytes_ = UINT64_MAX;
  std::uint64_t lost_bytes_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  char buffer_[kChunk] = {};
};

}  // namespace clawrun::supervise
