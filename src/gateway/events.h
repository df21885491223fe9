// Every decision as a line of JSON on a pipe that is never waited for.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "gateway/rules.h"

namespace clawrun::gateway {

struct Event {
  std::string host;  // "": none
  std::optional<Address> address;
  std::uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  enum class Verdict : std::uint8_t { kAllowed, kDenied, kFailed } verdict = Verdict::kDenied;
  const Rule* rule = nullptr;
  std::string reason;  // "": none
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::chrono::milliseconds duration{};
};

// Without its newline; at most 4095 bytes, so that one write(2) to a pipe is never cut. Pure.
std::string event_line(const Event& event, std::chrono::system_clock::time_point time);

class Events {
 public:
  // The pipe must not block.
  explicit Events(UniqueFd pipe);

  void ready(std::size_t connections);
  void error(std::string_view message);
  void say(const Event& event);

 private:
  void write_line(std::string line);
  bool try_write(const std::string& line);

  UniqueFd pipe_;
  std::uint64_t dropped_ = 0;
};

}  // namespace clawrun::gateway
