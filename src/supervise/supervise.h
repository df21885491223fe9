// From a running sandbox to its Outcome: one loop over its end, its deadline, the caller's signals and the copied streams.
#pragma once

#include <chrono>
#include <csignal>

#include "base/result.h"
#include "base/unique_fd.h"
#include "launch/launch.h"
#include "spec/outcome.h"

namespace clawrun::supervise {

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

struct Options {
  std::chrono::milliseconds timeout{0};  // 0: none
  std::chrono::milliseconds grace{2000};
  const ForwardedSignals* signals = nullptr;
  bool read_usage = true;  // of the cgroup, into Outcome::usage; a dozen small files
};

// Waits for the end of the sandbox, and for all of its processes with it; the sandbox is reaped afterwards.
spec::Outcome supervise(launch::Sandbox& sandbox, const Options& options);

}  // namespace clawrun::supervise
