// An output of the sandbox kept in memory, at most so much of it.
#pragma once

#include <cstdint>
#include <string>

namespace clawrun::supervise {

// Reads what comes without ever waiting. What is more than allowed is read too, so that the command goes on, and thrown away.
// Owns no descriptor; `fd` must not block.
class Capture {
 public:
  Capture() = default;
  Capture(int fd, std::uint64_t limit_bytes) : fd_(fd), limit_bytes_(limit_bytes) {}

  [[nodiscard]] int fd() const { return fd_; }  // -1: at its end
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t lost_bytes() const { return lost_bytes_; }

  // Takes some of what is there, so much that others get their turn. True when nothing is left to be read for now.
  bool advance();
  void stop() { fd_ = -1; }

 private:
  int fd_ = -1;
  std::uint64_t limit_bytes_ = 0;
  std::uint64_t lost_bytes_ = 0;
  std::string bytes_;
};

}  // namespace clawrun::supervise
