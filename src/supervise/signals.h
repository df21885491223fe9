// The signals that a supervisor passes on to the command.
#pragma once

#include <csignal>

#include "base/result.h"
#include "base/unique_fd.h"

namespace clawrun::supervise {

// Whether init passes it on; others do nothing to a pid 1.
bool is_forwarded(int signal);

// The caller's signals, to be forwarded: blocked in the calling thread from here on, so that none is lost during the start.
// For a command that owns its process; a library host has its own signals and makes none of these.
class ForwardedSignals {
 public:
  static Result<ForwardedSignals> open();
  ForwardedSignals(ForwardedSignals&&) = default;
  ForwardedSignals& operator=(ForwardedSignals&&) = delete;
  ~ForwardedSignals();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  ForwardedSignals() = default;
  UniqueFd fd_;
  sigset_t old_{};
};

}  // namespace clawrun::supervise
