// A sandbox from its start to its end, as a value: what an event loop, a library handle or a pool holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/registration.h"
#include "engine/streams.h"
#include "launch/work_files.h"
#include "plan/plan.h"
#include "spec/outcome.h"
#include "supervise/signals.h"

namespace clawrun::engine {

struct SpawnOptions {
  const supervise::ForwardedSignals* signals = nullptr;  // outlives the sandbox
  bool read_usage = true;                                // Outcome::usage
  bool wants_files = false;                              // files()
  bool outlives_thread = false;                          // with init: ends with this process, not with the calling thread
  StreamChoice streams[3];
  // Told in words what happens meanwhile that a person should know, such as the first refusal of a host. On the thread of process().
  std::function<void(const std::string&)> say;
};

// One that has been started, and is to be supervised.
struct Started {
  std::string id;
  Registration registration;
  launch::Sandbox sandbox;
  Streams streams;
  supervise::Options supervised;  // but for its streams
  std::chrono::system_clock::time_point started_at;
};

// Dropped, it kills and reaps what still runs. One thread at a time, but for kill().
class LiveSandbox {
 public:
  // Returns when the command has been executed. An error is a failure before it could run; nothing is left then. Thread-safe.
  static Result<LiveSandbox> spawn(const plan::Plan& plan, const SpawnOptions& options);

  // On failure nothing is left of it.
  static Result<LiveSandbox> take_over(Started started);

  LiveSandbox(LiveSandbox&& other) noexcept;
  LiveSandbox& operator=(LiveSandbox&& other) noexcept;
  ~LiveSandbox();

  [[nodiscard]] const std::string& id() const;
  // Readable when process() has something to do.
  [[nodiscard]] int fd() const;
  // -1 when it has ended.
  [[nodiscard]] int pidfd() const;

  // Our end of a stream that is a pipe; -1 where there is none.
  [[nodiscard]] int stream(int stream) const;
  [[nodiscard]] UniqueFd take_stream(int stream);

  // Does what is to be done now and never waits; true when it has ended.
  bool process();

  static constexpr std::chrono::milliseconds kForever{-1};
  // process() until the end, or until the time is over: false.
  Result<bool> wait(std::chrono::milliseconds at_most);

  // SIGKILL for all of it, or a signal that init passes on. Thread-safe.
  Result<> kill(int signal);

  [[nodiscard]] bool has_ended() const;
  [[nodiscard]] const spec::Outcome& outcome() const;  // whole when it has ended

  // What was captured so far; valid until the next process() or wait().
  [[nodiscard]] std::string_view output(int stream) const;
  [[nodiscard]] std::uint64_t lost_bytes(int stream) const;

  [[nodiscard]] const launch::WorkFiles& files() const;

 private:
  struct State;
  explicit LiveSandbox(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace clawrun::engine
