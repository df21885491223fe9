// From a running sandbox to its Outcome: its end, its deadline, the caller's signals and the copied streams, step by step.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "init/protocol.h"
#include "launch/launch.h"
#include "network/uplink.h"
#include "spec/outcome.h"
#include "supervise/capture.h"
#include "supervise/relay.h"
#include "supervise/signals.h"
#include "supervise/terminal.h"
#include "supervise/watches.h"
#include "sys/sys.h"

namespace clawrun::supervise {

// What is done with our end of a stream that goes through a pipe.
struct StreamUse {
  enum class Kind : std::uint8_t {
    kCaller,   // copied from or to the caller's stream of the same number
    kForeign,  // somebody else reads or writes it: launch::Sandbox::stream
    kCopy,     // output: copied to `target`
    kCapture,  // output: kept in memory
  };
  Kind kind = Kind::kCaller;
  UniqueFd target;
  std::uint64_t limit_bytes = UINT64_MAX;
};

struct Options {
  std::chrono::milliseconds timeout{0};  // 0: none
  std::chrono::milliseconds grace{2000};
  const ForwardedSignals* signals = nullptr;
  bool read_usage = true;  // of the cgroup, into Outcome::usage; a dozen small files
  StreamUse streams[3];
  std::optional<network::Uplink> uplink;  // with --network allow
};

// A state machine over one descriptor. Not thread-safe.
class Supervision {
 public:
  explicit Supervision(Options options) : options_(std::move(options)) {}

  // Opens its own descriptors only now: fewer are open than during the start, so that a small limit which was enough for that is
  // enough for this.
  Result<> begin(launch::Sandbox sandbox);

  // Readable when step() has something to do.
  [[nodiscard]] int fd() const { return watches_.fd(); }

  // Does what is to be done now, and never waits. True when the sandbox has ended with all of its processes, has been reaped, and
  // its output is taken.
  bool step();

  // What step() gathered; whole when it has returned true.
  [[nodiscard]] spec::Outcome& outcome() { return outcome_; }
  [[nodiscard]] launch::Sandbox& sandbox() { return sandbox_; }
  // The stream is a pipe whose other end somebody else uses.
  [[nodiscard]] bool is_foreign(int stream) const { return options_.streams[stream].kind == StreamUse::Kind::kForeign; }
  [[nodiscard]] std::string_view captured(int stream) const { return captures_[stream].bytes(); }
  [[nodiscard]] std::uint64_t lost_bytes(int stream) const {
    return captures_[stream].lost_bytes() + relays_[stream].lost_bytes();
  }

  // What the sandbox's output was copied to, so that its reader sees the end.
  void close_copies();

  // One of is_forwarded(), or SIGKILL for all of the sandbox. Nothing happens where it has ended.
  void send(int signal);

 private:
  enum class Phase : std::uint8_t { kRunning, kDraining, kEnded };

  void open_terminal();
  void open_stream(int stream);
  Result<> watch();
  void watch_streams();
  void watch_relay(int stream);
  void advance_stream(int stream, short revents);
  void take_end();
  void take_events();
  void take_snapshot();
  void end_input();
  void expire();
  void kill_all(const char* reason);
  void forward();
  void reap();
  int wait_status(const Result<sys::Ended>& reaped);
  void settle(int status);
  void read_usage();
  void take_usage(cgroup::Usage usage);
  void begin_draining();
  void note_lost_bytes();
  void end_draining_if_done();
  void finish();
  [[nodiscard]] bool has_network() const { return options_.uplink && !options_.uplink->has_ended(); }
  void restart_drain_timer();
  [[nodiscard]] bool has_copies() const;
  [[nodiscard]] std::chrono::nanoseconds time_to_deadline() const;

  Options options_;
  launch::Sandbox sandbox_;
  Watches watches_;
  UniqueFd timer_;
  UniqueFd outputs_[3];
  UniqueFd terminal_input_;  // the master again: one descriptor can be watched for one thing only
  Relay relays_[3];
  Capture captures_[3];
  std::unique_ptr<RawTerminal> raw_;
  Phase phase_ = Phase::kRunning;
  bool timed_out_ = false;
  int interrupts_ = 0;
  std::optional<init::Status> ended_;      // what a lingering init has said
  std::optional<cgroup::Usage> snapshot_;  // of a cgroup that may be gone before it can be read
  spec::Outcome outcome_;
};

}  // namespace clawrun::supervise
