// Copying between a descriptor of the caller and one of the sandbox, without ever blocking the supervisor's loop.
#pragma once

#include <poll.h>

#include <cstddef>

namespace clawrun::supervise {

// Reads only when its buffer is empty and writes only when poll(2) says that there is room, so one slow end stops this
// relay and nothing else. Owns neither descriptor.
class Relay {
 public:
  Relay() = default;
  Relay(int from, int to) : from_(from), to_(to) {}

  // What to poll for: a descriptor of -1 is passed over by poll(2).
  [[nodiscard]] pollfd wanted() const;
  // Takes what poll answered; true when the relay has just come to its end.
  bool advance(short revents);
  [[nodiscard]] bool active() const { return from_ >= 0; }
  // Something has been read and not been written yet.
  [[nodiscard]] bool pending() const { return active() && begin_ < end_; }
  void stop() { from_ = -1; }

 private:
  // POLLOUT on a pipe promises PIPE_BUF bytes of room: pipe(7). Terminals promise less.
  static constexpr std::size_t kChunk = 2048;
  int from_ = -1;
  int to_ = -1;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  char buffer_[kChunk] = {};
};

}  // namespace clawrun::supervise
